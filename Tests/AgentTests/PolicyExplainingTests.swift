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

    @Test(arguments: ["broken", "names", "shop", "tiers"])
    func questionsGetTheExpectedAnswers(name: String) throws {
        let folder = Self.folder.appending(path: name)
        var state = ClusterState(node: "node-a")
        for file in [Self.folder.appending(path: "cluster.yaml"), folder.appending(path: "policies.yaml")] {
            let manifest = Manifest(source: file.lastPathComponent, bytes: [UInt8](try Data(contentsOf: file)))
            try #require(manifest.diagnostics.isEmpty, "\(manifest.diagnostics)")
            _ = state.apply(manifest.objects.map(ObjectChange.upsert))
        }
        let questions = try String(contentsOf: folder.appending(path: "questions.txt"), encoding: .utf8)
        let held = try Self.held(folder.appending(path: "learned.txt"))
        let answers = try questions.split(separator: "\n").map { "> \($0)\n" + (try answer(String($0), state, held)) }
        let actual = answers.joined(separator: "\n")
        let file = folder.appending(path: "expected.txt")
        if ProcessInfo.processInfo.environment["APUS_WRITE_FIXTURES"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try actual == String(contentsOf: file, encoding: .utf8))
    }

    /// What a file says that pods have learned: a pod, a name and an address a line; nothing where there is no file.
    private static func held(_ file: URL) throws -> HeldNames {
        guard FileManager.default.fileExists(atPath: file.path) else { return HeldNames() }
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            $0.split(separator: " ")
        }
        let uses = try lines.map { (pod: $0[0], name: String($0[1]), address: try #require(IPAddress(String($0[2])))) }
        var held = HeldNames()
        held.names = { pod, address in
            uses.filter { $0.pod == "\(pod)" && $0.address == address }
                .map { PolicyJudgement.Name(name: $0.name, expires: "2026-03-01T09:13:20Z") }
        }
        held.addresses = { pod, name in uses.filter { $0.pod == "\(pod)" && $0.name == name }.map(\.address) }
        return held
    }

    private func answer(_ words: String, _ state: ClusterState, _ held: HeldNames) throws -> String {
        var words = words.split(separator: " ").map(String.init)
        let isReceived = words.last == "received"
        if isReceived { words.removeLast() }
        let question = PolicyQuestion(
            source: try #require(PolicyEnd(words[0])), destination: try #require(PolicyEnd(words[1])),
            ipProtocol: try #require(IPProtocol(words[2])), port: words.count > 3 ? PolicyPort(words[3]) : nil,
            isReceived: isReceived)
        do throws(AgentError) {
            let paths = try PolicyExplainer(state, held: held).explain(question).map { path in
                PolicyExplanation.Path(
                    path, egress: side(path.egress, path.name?.text(path.destination) ?? path.destination.text, path),
                    ingress: side(path.ingress, path.source.text, path))
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
        _ judgement: PolicyJudgement?, _ peer: String, _ path: PolicyPath
    ) -> PolicyExplanation.Side? {
        PolicyExplanation.Side(
            agent: judgement, maps: nil, isCompared: false, peer: peer, port: path.portText)
    }
}

@Suite struct DetailsOfPolicies {
    private func state() throws -> ClusterState {
        var state = ClusterState(node: "node-a")
        for path in ["cluster.yaml", "tiers/policies.yaml", "broken/policies.yaml"] {
            let file = ExplainedFixtures.folder.appending(path: path)
            let manifest = Manifest(source: path, bytes: [UInt8](try Data(contentsOf: file)))
            _ = state.apply(manifest.objects.map(ObjectChange.upsert))
        }
        return state
    }

    @Test func anObjectIsTheOneOfItsName() throws {
        let state = try state()
        let db = try #require(
            PolicyDetails(PolicySelection(namespace: "shop", name: "db"), state.policies).objects.first)
        #expect(db.policy == "NetworkPolicy shop/db" && db.tier == .networkPolicy && db.priority == nil)
        #expect(db.subject == "pods app=db in namespace shop" && db.isolates == ["ingress"])
        #expect(
            db.rules == [
                PolicyDetails.Rule(rule: "ingress[0]", action: "allow", peers: "every peer", ports: "every port")
            ])
        #expect(db.endpoints.map(\.pod) == ["shop/db-1"] && db.problems.isEmpty)
        #expect(PolicyDetails(PolicySelection(namespace: "other", name: "db"), state.policies).objects.isEmpty)
        #expect(PolicyDetails(PolicySelection(name: "db"), state.policies).objects.count == 1)
    }

    @Test func aClusterPolicyHasItsPriorityItsRuleNamesAndWhatIsWrongWithIt() throws {
        let state = try state()
        let guarded = try #require(PolicyDetails(PolicySelection(name: "guard"), state.policies).objects.first)
        #expect(guarded.priority == 10 && guarded.isolates.isEmpty && guarded.directions == ["ingress"])
        #expect(guarded.rules.map(\.ruleName) == ["monitoring", "leave \"web\" to its team", nil, "nobody else"])
        #expect(guarded.rules.map(\.ports)[2] == "TCP 5000-6000")
        #expect(guarded.endpoints.map(\.pod) == ["shop/db-1", "shop/web-1"])
        let broken = try #require(PolicyDetails(PolicySelection(name: "names"), state.policies).objects.first)
        #expect(broken.problems.contains(#"spec.egress[0].to[0].domainNames[0]: "example" needs at least two labels"#))
    }

    @Test func aNewerVersionThatIsWrongIsNamedByThePolicyThatIsInForceForIt() throws {
        let state = try state()
        var diagnostics = SourceDiagnostics()
        let key = ObjectKey(.networkPolicy, namespace: "shop", name: "db")
        var broken = SourceDiagnostic(.syntax, source: "db.yaml", document: 2, message: "line 3: odd")
        (broken.keepsLastGood, broken.keptKeys) = (true, [key])
        let never = SourceDiagnostic(
            .invalidObject, source: "new.yaml", document: 1,
            key: ObjectKey(.networkPolicy, namespace: "shop", name: "new"), fieldPath: "spec.x", message: "is not known"
        )
        for entry in [broken, never] { diagnostics.note(entry) }
        let kept = PolicyDetails(PolicySelection(namespace: "shop", name: "db"), state.policies, diagnostics)
        #expect(kept.objects.map(\.rejected) == [["db.yaml: document 2: line 3: odd"]] && kept.refused.isEmpty)
        let absent = PolicyDetails(PolicySelection(name: "new"), state.policies, diagnostics)
        #expect(absent.objects.isEmpty)
        #expect(absent.refused == ["new.yaml: document 1: NetworkPolicy shop/new: spec.x: is not known"])
    }

    @Test func aVersionInAnotherFileIsToldWithTheOneThatCounts() throws {
        let state = try state()
        var diagnostics = SourceDiagnostics()
        let key = ObjectKey(.networkPolicy, namespace: "shop", name: "db")
        diagnostics.note(
            SourceDiagnostic(.duplicate, source: "z.yaml", key: key, message: "ignored, a.yaml has it already"))
        let found = PolicyDetails(PolicySelection(namespace: "shop", name: "db"), state.policies, diagnostics)
        #expect(found.objects.map(\.ignored) == [["z.yaml: ignored, a.yaml has it already"]])
        #expect(found.objects.map(\.rejected) == [[]])
    }

    @Test func anIDIsTheCompiledPolicyThatJudgesAPod() throws {
        let state = try state()
        let found = PolicyDetails(PolicySelection(namespace: "shop", name: "db"), state.policies)
        let id = try #require(found.objects.first?.endpoints.first?.ingress)
        let compiled = try #require(PolicyDetails(PolicySelection(name: id), state.policies).compiled)
        #expect(compiled.last?.peers.contains("kubernetes.io/metadata.name=visitors") == true)
        #expect(compiled.contains(PolicyDetails.Bit(peers: "every peer", ports: "every port")))
        #expect(PolicyDetails(PolicySelection(name: "ffffffff"), state.policies).compiled == nil)
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
