import Addressing
@testable import Datapath
import DatapathABI
import NetworkPolicy
import PolicyGenerators
import Testing

@Suite("Rule bits as entries")
struct PolicyBitsTests {
    @Test("The entry of page 0 has the bits of the first page with any, and names the others")
    func peers() {
        #expect(RuleBits().entries.isEmpty)
        let near = RuleBits([3]).entries
        #expect(near.map(\.page) == [0] && near.map(\.value.pages) == [1])
        let far = RuleBits([520, 521, 1030]).entries
        #expect(far.map(\.page) == [0, 4] && far.map(\.value.pages) == [0b10100, 0b10100])
        #expect(far.map(\.value.bits.pageBits) == [PageBits([8, 9]), PageBits([6])])
    }

    /// Rules of some pages with random prefixes of few ports, so that many cover others.
    private func policy(_ random: inout RandomSource) -> CompiledPolicy {
        var policy = CompiledPolicy(id: PolicyID(rawValue: 1), direction: .ingress)
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            var page = CompiledPage()
            var own: [PortPrefix: PageBits] = [:]
            for bit in 0..<Int.random(in: 0...8, using: &random) {
                let prefix = PortPrefix(
                    [.tcp, .udp].randomElement(using: &random) ?? .tcp,
                    port: Port.random(in: 0..<8, using: &random) << 5,
                    length: [0, 8, 9, 10, 11, 16].randomElement(using: &random) ?? 0)
                own[prefix, default: PageBits()][bit] = true
            }
            page.ports = own.keys.sorted().map { prefix in
                let covering = own.filter { $0.key.contains(prefix) }
                return PortEntry(ports: prefix, bits: covering.reduce(PageBits()) { $0 | $1.value })
            }
            policy.pages.append(page)
        }
        return policy
    }

    /// The rules of a page that admit a port, by that page's own entries.
    private func expected(_ page: CompiledPage, _ port: PortPrefix) -> PageBits {
        page.ports.filter { $0.ports.contains(port) }.max { $0.ports.length < $1.ports.length }?.bits ?? PageBits()
    }

    @Test("A port is led to the same rules as page by page", arguments: 1...200 as ClosedRange<UInt64>)
    func ports(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let policy = policy(&random)
        let entries = policy.portEntries
        #expect(Set(entries.map { "\($0.page) \($0.ports)" }).count == entries.count)
        func find(_ port: PortPrefix, _ page: Int) -> apus_policy_bits? {
            entries.filter { $0.page == page && $0.ports.contains(port) }.max { $0.ports.length < $1.ports.length }?
                .value
        }
        for number in Port(0)..<256 {
            let port = PortPrefix(number.isMultiple(of: 2) ? .tcp : .udp, port: number, length: 16)
            let pages = policy.pages.map { expected($0, port) }
            let filled = pages.indices.filter { !pages[$0].isEmpty }
            let lead = find(port, 0)
            #expect(lead?.pages ?? 0 == filled.reduce(0) { $0 | 1 << UInt64($1) })
            #expect(lead?.bits.pageBits == filled.first.map { pages[$0] })
            for page in filled.dropFirst() { #expect(find(port, page)?.bits.pageBits == pages[page]) }
        }
    }
}
