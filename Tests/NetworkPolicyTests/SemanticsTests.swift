internal import Addressing
internal import NetworkPolicy
import Testing

/// A rule of Kubernetes in words, policies that exercise it, and what must come of packets.
struct SemanticsCase: CustomTestStringConvertible, Sendable {
    let sentence: String
    let inputs: [PolicyInput]
    /// Lines like `shop/db from ops/web TCP 80 denied`.
    let packets: [String]

    init(_ sentence: String, _ policies: [NetworkPolicyObject], _ packets: [String]) {
        self.init(sentence, inputs: policies.map(PolicyInput.policy), packets)
    }

    init(_ sentence: String, inputs: [PolicyInput], _ packets: [String]) {
        self.sentence = sentence
        self.inputs = inputs
        self.packets = packets
    }

    var testDescription: String { sentence }

    /// Checks each packet against the tables and against the oracle.
    func check() throws {
        var compiler = PolicyCompiler(node: Shop.node)
        var oracle = PolicyOracle(node: Shop.node)
        var model = KernelModel()
        for input in Shop.objects + inputs { oracle.apply(input) }
        for edit in compiler.apply(Shop.objects + inputs) { #expect(model.apply(edit) == nil, "\(edit)") }
        let addresses = Dictionary(uniqueKeysWithValues: oracle.endpoints.map { ($0.key, $0.addresses) })
        for packet in packets {
            let words = packet.split(separator: " ")
            let query = try Shop.query(words)
            let decision = model.judge(query, addresses: addresses[query.endpoint] ?? [])
            let explanation = oracle.explain(query)
            #expect(decision.isAllowed == (words[5] == "allowed"), "\(packet), tables: \(decision)")
            #expect(explanation.isAllowed == (words[5] == "allowed"), "\(packet), oracle: \(explanation)")
        }
    }
}

@Suite("NetworkPolicy semantics")
struct SemanticsTests {
    @Test("Selection and isolation", arguments: try SemanticsCases.selection())
    func selection(rule: SemanticsCase) throws { try rule.check() }

    @Test("Peers that are pods", arguments: try SemanticsCases.podPeers())
    func podPeers(rule: SemanticsCase) throws { try rule.check() }

    @Test("Peers that are blocks", arguments: try SemanticsCases.blocks())
    func blocks(rule: SemanticsCase) throws { try rule.check() }

    @Test("Ports", arguments: try SemanticsCases.ports())
    func ports(rule: SemanticsCase) throws { try rule.check() }

    @Test("What can't be read", arguments: try SemanticsCases.unreadable())
    func unreadable(rule: SemanticsCase) throws { try rule.check() }

    @Test("Tiers", arguments: try SemanticsCases.tiers())
    func tiers(rule: SemanticsCase) throws { try rule.check() }
}
