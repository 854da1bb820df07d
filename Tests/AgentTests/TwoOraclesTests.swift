import Addressing
import DocumentationOracle
import Foundation
import Kubernetes
import NetworkPolicy
import PolicyGenerators
import PolicyTranslation
import Testing

/// One cluster as the two oracles see it: the objects themselves, and what the agent of a node makes of them.
private struct JudgedCluster {
    var generator: ObjectGenerator
    private var inputs = PolicyInputs()
    private var agent = PolicyOracle(node: ObjectGenerator.node)
    private(set) var documentation = DocumentationOracle(ObservedCluster([]))

    init(seed: UInt64) {
        generator = ObjectGenerator(seed: seed)
        apply(generator.fill())
    }

    mutating func change(_ count: Int) { apply(generator.changes(count)) }

    private mutating func apply(_ changes: [ObjectChange]) {
        for input in inputs.apply(changes) { agent.apply(input) }
        documentation = DocumentationOracle(ObservedCluster(generator.objects))
    }

    /// What the agent says of a connection, one answer for each end that is a pod of its node.
    func explanations(_ flow: FlowTuple) -> [(Side, Explanation)] {
        let ends = (source: flow.source.address, destination: flow.destination.address)
        return [(Side.egress, ends.source, ends.destination), (.ingress, ends.destination, ends.source)]
            .compactMap { side, own, peer in
                guard let pod = agent.pod(at: own), pod.node == agent.node else { return nil }
                let query = PolicyQuery(
                    endpoint: pod.key, direction: side == .ingress ? .ingress : .egress, peer: peer,
                    ipProtocol: flow.ipProtocol, port: flow.destination.port)
                return (side, agent.explain(query))
            }
    }
}

@Suite("The agent's oracle and that of the documentation")
struct TwoOraclesTests {
    /// Connections with a judged end to compare; `APUS_ORACLE_CASES` sets another number.
    private static let cases = ProcessInfo.processInfo.environment["APUS_ORACLE_CASES"].flatMap(Int.init) ?? 100_000

    @Test(
        "They agree on 100,000 connections, at each end that is judged", .serialized,
        arguments: [20_261_127, UInt64.random(in: .min ... .max)])
    func verdicts(seed: UInt64) throws {
        var seeds = RandomSource(seed: seed)
        var (connections, ends, denied) = (0, 0, 0)
        while connections < Self.cases / 2 {
            let clusterSeed = seeds.next()
            var cluster = JudgedCluster(seed: clusterSeed)
            for step in 0..<120 {
                if step % 30 == 29 { cluster.change(4) }
                guard let flow = cluster.generator.opening() else { continue }
                let explanations = cluster.explanations(flow)
                if !explanations.isEmpty { connections += 1 }
                for (side, explanation) in explanations {
                    let expected = cluster.documentation.judge(flow, at: side)
                    try #require(
                        explanation.isAllowed == expected.isAllowed,
                        "seed \(seed), cluster \(clusterSeed), \(side) of \(flow): \(explanation), \(expected)")
                    ends += 1
                    if !expected.isAllowed { denied += 1 }
                }
            }
        }
        // Agreement would be worth nothing if nearly everything were allowed, or nearly nothing.
        #expect((25...75).contains(denied * 100 / ends), "\(denied) of \(ends) ends are denied")
    }
}
