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
                var matrix = try LiveMatrix(manifests)
                let agent = try await AgentProcess.started(lab, manifests: manifests)
                var mesh = try await Mesh.opened(lab)
                for step in cases.flatMap(\.steps) {
                    let expected = try await matrix.enforce(step, by: agent)
                    let answers = try await mesh.ask(expecting: expected)
                    let differences = answers.differences(from: expected)
                    #expect(
                        differences.isEmpty, "\(step.name): \(differences.count) of \(Probe.all.count) are otherwise")
                    matrix.note(expected)
                }
                // What was not answered was dropped by a policy, and not lost or late.
                let dropped = try agent.drops(.policyIsolated) + agent.drops(.policyDenied)
                #expect(dropped >= matrix.denied)
                #expect(try await agent.apus("verify").succeeded)
                print("Connectivity: \(cases.count) cases, \(matrix.summary), \(dropped) packets dropped")
            }
        }

        private static var plan: LabPlan { .oneNode(pods: CaseCluster.members.filter(\.isPod).map(\.host)) }
    }
}

/// The state of the cluster that the agent has in force, step by step.
private struct LiveMatrix {
    private let manifests: ManifestDirectory
    private var steps = 0
    private(set) var denied: UInt64 = 0

    init(_ manifests: ManifestDirectory) throws {
        self.manifests = manifests
        try write(PolicyStep(name: "start"))
    }

    var summary: String {
        "\(steps) states of the cluster, \(steps * Probe.all.count) questions, \(denied) of them denied"
    }

    mutating func note(_ expected: ConnectivityMatrix) {
        steps += 1
        denied += UInt64(expected.allowed.count { !$0 })
    }

    /// Writes all objects of a step, waits until they are in force, and returns what is to be expected.
    func enforce(_ step: PolicyStep, by agent: AgentProcess) async throws -> ConnectivityMatrix {
        let marker = 1 + steps % 5
        let manifest = try write(step, marker: marker)
        let namespaces = CaseCluster.namespaces.count + marker
        try await eventually("the objects of: \(step.name)", within: .seconds(20), every: .milliseconds(2)) {
            let status = try await agent.client.status()
            guard status.diagnostics.isEmpty else { throw LabError("apusd", "\(status.diagnostics)") }
            let found = status.sources.first { $0.kind == "Namespace" }?.objects
            return found == namespaces && status.applying.pendingRetries == 0
        }
        return ConnectivityMatrix(documentationOf: manifest)
    }

    /// One file: all of it is one change to the agent.
    @discardableResult
    private func write(_ step: PolicyStep, marker: Int = 0) throws -> String {
        let text = try CaseCluster.manifest(step, marker: marker)
        try manifests.write("cluster.json", text)
        return text
    }
}
