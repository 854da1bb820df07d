import AgentAPI
import Addressing
import Foundation
import Kubernetes
import NetworkPolicy
import Testing

@testable import Agent
@testable import ApusCLI

/// Manifests and questions in, what `apus policy explain` prints of the agent's answers out.
///
/// With `APUS_WRITE_FIXTURES=1` the expected files are written instead; read the difference before it is committed.
@Suite struct ExplainedFixtures {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/explain")

    @Test(arguments: ["broken", "shop", "tiers"])
    func questionsGetTheExpectedAnswers(name: String) throws {
        let folder = Self.folder.appending(path: name)
        var state = ClusterState(node: "node-a")
        for file in [Self.folder.appending(path: "cluster.yaml"), folder.appending(path: "policies.yaml")] {
            let manifest = Manifest(source: file.lastPathComponent, bytes: [UInt8](try Data(contentsOf: file)))
            try #require(manifest.diagnostics.isEmpty, "\(manifest.diagnostics)")
            _ = state.apply(manifest.objects.map(ObjectChange.upsert))
        }
        let questions = try String(contentsOf: folder.appending(path: "questions.txt"), encoding: .utf8)
        let answers = try questions.split(separator: "\n").map { "> \($0)\n" + (try answer(String($0), state)) }
        let actual = answers.joined(separator: "\n")
        let file = folder.appending(path: "expected.txt")
        if ProcessInfo.processInfo.environment["APUS_WRITE_FIXTURES"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try actual == String(contentsOf: file, encoding: .utf8))
    }

    private func answer(_ words: String, _ state: ClusterState) throws -> String {
        let words = words.split(separator: " ").map(String.init)
        let question = PolicyQuestion(
            source: try #require(PolicyEnd(words[0])), destination: try #require(PolicyEnd(words[1])),
            ipProtocol: try #require(IPProtocol(words[2])), port: words.count > 3 ? PolicyPort(words[3]) : nil)
        do throws(AgentError) {
            let paths = try PolicyExplainer(state).explain(question).map { path in
                PolicyExplanation.Path(
                    path, egress: side(path.egress, path.destination, path),
                    ingress: side(path.ingress, path.source, path))
            }
            let console = Console { _ in
            } note: { _ in
            }
            return PolicyExplanationText(console: console).text(PolicyExplanation(paths, agent: true, maps: false))
        } catch {
            return "\(error.code.rawValue): \(error)\n"
        }
    }

    private func side(
        _ judgement: PolicyJudgement?, _ peer: PolicyPath.End, _ path: PolicyPath
    ) -> PolicyExplanation.Side? {
        PolicyExplanation.Side(
            agent: judgement, maps: nil, isCompared: false, peer: peer.text, port: path.portText)
    }
}

@Suite struct PolicyObjectsOfAState {
    private func policy(_ name: String, _ labels: [String: String]) -> ObjectChange {
        .upsert(
            .networkPolicy(
                Kubernetes.NetworkPolicy(
                    meta: ObjectMeta(name: name, namespace: "shop"),
                    podSelector: Kubernetes.LabelSelector(matchLabels: labels))))
    }

    @Test func aPolicyThatIsGoneIsExplainedNoMore() {
        var state = ClusterState(node: "node-a")
        _ = state.apply([policy("a", [:]), policy("b", [:])])
        _ = state.apply([policy("a", ["app": "web"])])
        #expect(state.policyObjects.count == 2)
        _ = state.apply([.delete(ObjectKey(.networkPolicy, namespace: "shop", name: "a"))])
        #expect(state.policyObjects.keys.map(\.name) == ["b"])
    }
}
