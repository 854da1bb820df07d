import Addressing
import AgentAPI
import Datapath
import PolicyCases
import TestSupport
import Testing

extension TrafficTests {
    /// Who reaches whom under the policies of `Tests/PolicyCases`, with real sockets. A kernel may lack SCTP: an INIT
    /// and its answer from raw sockets stand for it, which is all that policies judge.
    @Suite(.serialized) struct Connectivity {
        @Test func everyPairIsConnectedAsTheOracleSays() async throws {
            let cases = try PolicyCaseFile.all()
            try await withLab(Self.plan) { lab in
                let manifests = try ManifestDirectory(lab, [:])
                var cluster = try EnforcedCluster(manifests)
                let agent = try await AgentProcess.started(lab, manifests: manifests)
                var mesh = try await Mesh.opened(lab)
                // Questions that policies leave without an answer, where every pod is there.
                var denied: UInt64 = 0
                for step in cases.flatMap(\.steps) {
                    let expected = try await cluster.enforce(step, by: agent)
                    let before = mesh.unanswered
                    let answers = try await mesh.ask(expecting: expected)
                    if step.gone.isEmpty { denied += mesh.unanswered - before }
                    #expect(answers.new.differences(from: expected) == [], "\(step.name): new connections")
                    #expect(answers.live.differences(from: expected) == [], "\(step.name): live connections")
                }
                // What was not answered was dropped by a policy, and not lost or late.
                let dropped = try agent.drops(.policyIsolated) + agent.drops(.policyDenied)
                #expect(dropped >= denied)
                #expect(try await agent.apus("verify").succeeded)
                print(
                    "Connectivity: \(cases.count) cases, \(cluster.steps) states of the cluster, \(mesh.asked) questions, "
                        + "\(mesh.expected) of them answered, \(dropped) packets dropped")
            }
        }

        private static var plan: LabPlan { .oneNode(pods: CaseCluster.members.filter(\.isPod).map(\.host)) }
    }
}

/// The state of the cluster that the agent has in force, step by step.
private struct EnforcedCluster {
    private let manifests: ManifestDirectory
    private(set) var steps = 0

    init(_ manifests: ManifestDirectory) throws {
        self.manifests = manifests
        try write(PolicyStep(name: "start"))
    }

    /// Writes all objects of a step, waits until they are in force, and returns what is to be expected.
    mutating func enforce(_ step: PolicyStep, by agent: AgentProcess) async throws -> ConnectivityMatrix {
        steps += 1
        let marker = steps % 5
        let manifest = try write(step, marker: marker)
        let namespaces = CaseCluster.namespaces.count { !step.gone.contains($0) } + marker
        try await eventually("the objects of: \(step.name)", every: .milliseconds(2)) {
            let status = try await agent.client.status()
            guard status.diagnostics.isEmpty else { throw LabError("apusd", "\(status.diagnostics)") }
            let found = status.sources.first { $0.kind == "Namespace" }?.objects
            return found == namespaces && status.applying.pendingRetries == 0
        }
        return ConnectivityMatrix(documentationOf: manifest).without(goneIn: step)
    }

    /// One file: all of it is one change to the agent.
    @discardableResult
    private func write(_ step: PolicyStep, marker: Int = 0) throws -> String {
        let text = try CaseCluster.manifest(step, marker: marker)
        try manifests.write("cluster.json", text)
        return text
    }
}
