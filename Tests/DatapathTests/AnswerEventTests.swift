import Addressing
@testable import Datapath
import DatapathABI
import DomainNames
import Flows
import NetworkPolicy
import Testing

@Suite struct AnswerEventTests {
    private func record(_ change: (inout apus_answer_event) -> Void = { _ in }) -> Bytes {
        var raw = apus_answer_event()
        (raw.time_ns, raw.latency_ns) = (9_000, 400)
        (raw.client, raw.resolver) = (Raw.address("10.1.0.1"), Raw.address("10.1.0.53"))
        (raw.frontend, raw.frontend_port) = (Raw.address("10.96.0.10"), UInt16(53).bigEndian)
        (raw.client_port, raw.resolver_port) = (UInt16(40_000).bigEndian, UInt16(5353).bigEndian)
        (raw.type, raw.code, raw.protocol) = (1, 0, 17)
        (raw.endpoint, raw.identity, raw.policy, raw.rule) = (4, 17, 0xc0ffee, 2)
        withUnsafeMutableBytes(of: &raw.name) { $0.copyBytes(from: "api.example.com.older".utf8) }
        raw.name_length = 15
        (raw.addresses.0, raw.addresses.1) = (Raw.address("198.51.100.1"), Raw.address("2001:db8::1"))
        (raw.address_count, raw.lifetime) = (2, 30)
        change(&raw)
        return Bytes(of: raw)
    }

    @Test("An answer is decoded with all that its record says")
    func decoding() throws {
        let answer = try DatapathAnswer(decoding: record().span.bytes)
        #expect(
            "\(answer)" == """
                9000 answer UDP 10.1.0.1:40000 -> 10.1.0.53:5353 frontend 10.96.0.10:53 name api.example.com type 1 \
                code 0 latency 400 addresses 2 198.51.100.1,2001:db8::1
                """)
        #expect(answer.client == EndpointReference(slot: 4, identity: 17))
        #expect(answer.egress == PolicyDecision(policy: PolicyID(rawValue: 0xc0ffee), rule: .rule(2)))
        let flow = Flow(answer, node: "node-a", clockOffset: 1_000)
        #expect(flow.kind == .dns && flow.verdict == .forwarded && flow.time == 10_000)
        #expect(flow.dns?.addresses.count == 2 && flow.dns?.lifetime == 30 && flow.dns?.latency == 400)
    }

    @Test("Numbers beyond the record's room are cut, and another length is no record")
    func bounds() throws {
        let many = try DatapathAnswer(
            decoding: record {
                $0.address_count = 500
                $0.name_length = .max
                $0.flags = UInt16(APUS_DNS_TRUNCATED.rawValue)
            }.span.bytes)
        #expect(many.addresses.count == DatapathAnswer.addressLimit && many.addressCount == 500)
        #expect(many.name.utf8.count == Int(APUS_DNS_NAME_MAX) && many.isTruncated)
        let short = Bytes(record().dropLast())
        #expect(throws: RecordError.self) { try DatapathAnswer(decoding: short.span.bytes) }
    }
}

@Suite struct DomainUseTests {
    @Test("The patterns of a policy share entries, and all of them are found again")
    func packing() throws {
        let names = try (0..<40).map { try DomainPattern(fqdnName: "name-\($0).example.com") }
        let wide = try DomainPattern(clusterDomain: "*.example.com")
        let domains = (names + [wide]).map { DomainBits(pattern: $0, bits: RuleBits([0, 300])) }
        let uses = domains.flatMap { domain in
            [0, 300].map { DomainUse(rule: $0, pattern: PatternText(domain.pattern)) }
        }
        var policy = CompiledPolicy(id: PolicyID(rawValue: 0xc0ffee), direction: .egress)
        policy.domains = domains
        let entries = policy.domainNames
        #expect(entries.count > 1 && entries.count < 12)
        #expect(entries.flatMap { DomainUse.list(NameKey.text($0.value)) } == uses)
        #expect(
            entries.indices.allSatisfy {
                NameKey(key: entries[$0].key) == .domains(policy: policy.id.rawValue, UInt32($0))
            })
    }

    @Test("Text that is none names no pattern", arguments: ["", "a", "1", "1/name", "x/name/a", "-1/name/a"])
    func nonsense(text: String) {
        #expect(DomainUse.list(text).isEmpty)
    }

    @Test("The longest pattern fits into an entry")
    func longest() throws {
        let label = String(repeating: "a", count: 61)
        let pattern = try DomainPattern(clusterDomain: "*.\(label).\(label).\(label).\(label)")
        var policy = CompiledPolicy(id: PolicyID(rawValue: 0xc0ffee), direction: .egress)
        policy.domains = [DomainBits(pattern: pattern, bits: RuleBits([16_383]))]
        let found = policy.domainNames.flatMap { DomainUse.list(NameKey.text($0.value)) }
        #expect(found == [DomainUse(rule: 16_383, pattern: PatternText(pattern))])
    }
}
