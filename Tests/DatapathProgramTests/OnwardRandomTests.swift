internal import Addressing
internal import BPF
internal import DatapathABI
internal import PolicyGenerators
internal import TestSupport
internal import Testing

@Suite("Forwarding past the stack, with random packets")
struct OnwardRandomTests {
    private static let seeds = withFreshSeed([1], of: "OnwardRandomTests")

    @Test(
        "Of each frame becomes what the usual way makes of it",
        arguments: seeds, Family.allCases.flatMap { family in Transport.forwarded.map { (family, $0) } })
    func same(seed: UInt64, kind: (family: Family, transport: Transport)) throws {
        let namespace = try RoutedNamespace(separate: seed % 2 == 0)
        try namespace.run {
            var random = RandomSource(seed: seed)
            let onward = try Onward(kind.family, kind.transport, in: namespace)
            var fates: [Fate: Int] = [:]
            let port = try onward.establish()
            for _ in 0..<250 {
                let frame = damaged(usual(onward, port, &random), &random)
                fates[try onward.send(frame), default: 0] += 1
            }
            #expect(fates[.delivered, default: 0] > 60 && fates[.passed, default: 0] > 3, "\(fates)")
            let entries = try onward.connections()
            #expect(entries[0]?.flags == entries[1]?.flags && entries[0]?.source_port == entries[1]?.source_port)
            for edge in [onward.edge, onward.usual] { _ = edge.datapath.events() }
        }
    }

    private func usual(_ onward: Onward, _ port: Port, _ random: inout RandomSource) -> [UInt8] {
        let text = String(repeating: "x", count: Int.random(in: 0..<60, using: &random))
        let flags: [TCPFlags] = [.ack, .ack, .ack, [.psh, .ack], [.fin, .ack], .syn, .rst, []]
        let chosen = flags[Int.random(in: 0..<flags.count, using: &random)]
        let ttl: UInt8 = Int.random(in: 0..<8, using: &random) == 0 ? .random(in: 0...2, using: &random) : 64
        return Bool.random(using: &random)
            ? onward.request(chosen, ttl: ttl, payload: text).bytes
            : onward.answer(chosen, to: port, ttl: ttl, payload: text).bytes
    }

    /// The frame as it is, or with bytes of its headers changed.
    private func damaged(_ frame: [UInt8], _ random: inout RandomSource) -> [UInt8] {
        var copy = frame
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2, 3, 4: break
        case 5: copy += [UInt8](repeating: 0, count: Int.random(in: 0..<50, using: &random))
        default:
            // The hardware address of a test run's link stays.
            for _ in 0..<Int.random(in: 1..<3, using: &random) {
                copy[Int.random(in: 12..<min(copy.count, 76), using: &random)] = .random(in: 0...255, using: &random)
            }
        }
        return copy
    }
}
