internal import Addressing
internal import BPF
internal import DatapathABI
internal import PolicyGenerators
internal import TestSupport
internal import Testing

@Suite("The shortcut at XDP, with random packets and records")
struct ShortcutRandomTests {
    private static let seeds = withFreshSeed([1, 2], of: "ShortcutRandomTests")

    @Test(
        "A frame passes as it came, or is what the usual way makes of it",
        arguments: seeds, Family.allCases.flatMap { family in Transport.forwarded.map { (family, $0) } })
    func same(seed: UInt64, kind: (family: Family, transport: Transport)) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            var random = RandomSource(seed: seed)
            let shortcut = try Shortcut(kind.family, kind.transport, in: namespace)
            let entry = try shortcut.connection()
            var forwarded = 0
            for number in 0..<1500 {
                let frame = damaged(try usual(shortcut, &random), &random)
                try shortcut.set { $0 = disturbed(entry, &random) }
                let before = try shortcut.connection()
                let run = try shortcut.run(frame)
                guard run.fate == .redirected else {
                    #expect(run.fate == .passed && run.frame == frame, "\(number): \(frame)")
                    continue
                }
                forwarded += 1
                let after = try shortcut.connection()
                try shortcut.set { $0 = before }
                try expectUsual(shortcut, frame, run.frame, after)
            }
            #expect(forwarded > 150 && forwarded < 1400, "\(forwarded) forwarded")
            _ = shortcut.datapath.events()
        }
    }

    /// Frame and connection are what the usual way makes of them.
    private func expectUsual(
        _ shortcut: Shortcut, _ frame: [UInt8], _ output: [UInt8], _ after: apus_connection
    ) throws {
        let place = shortcut.edge.family == .v4 ? 22 : 21
        let usual = try shortcut.usualWay(frame, ttl: frame[place] - 1)
        #expect(usual?.onLink(from: Edge.uplink, to: Edge.router) == output, "\(frame)")
        let entry = try shortcut.connection()
        #expect(entry.openerSide.packets == after.openerSide.packets)
        #expect(entry.openerSide.bytes == after.openerSide.bytes)
        #expect(entry.flags == after.flags && entry.source_port == after.source_port)
        #expect(entry.openerSide.tcp_flags == after.openerSide.tcp_flags)
        #expect(entry.responderSide.tcp_flags == after.responderSide.tcp_flags)
        #expect(shortcut.datapath.events().filter { $0.kind != .opened }.isEmpty, "nothing is told of it")
    }

    private func usual(_ shortcut: Shortcut, _ random: inout RandomSource) throws -> [UInt8] {
        let text = String(repeating: "x", count: Int.random(in: 0..<60, using: &random))
        let flags: [TCPFlags] = [.ack, .ack, .ack, [.psh, .ack], [.fin, .ack], .syn, .rst, []]
        let chosen = flags[Int.random(in: 0..<flags.count, using: &random)]
        let ttl: UInt8 = .random(in: 0...255, using: &random)
        return Bool.random(using: &random)
            ? shortcut.request(chosen, ttl: ttl, payload: text).bytes
            : shortcut.answer(chosen, ttl: ttl, payload: text).bytes
    }

    /// The frame as it is, or with bytes of its headers changed, which most often are what it is known by.
    private func damaged(_ frame: [UInt8], _ random: inout RandomSource) -> [UInt8] {
        var copy = frame
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2, 3: break
        case 4: copy.removeLast(Int.random(in: 0..<copy.count - 14, using: &random))
        case 5: copy += [UInt8](repeating: 0, count: Int.random(in: 0..<50, using: &random))
        default:
            for _ in 0..<Int.random(in: 1..<3, using: &random) {
                copy[Int.random(in: 0..<min(copy.count, 76), using: &random)] = .random(in: 0...255, using: &random)
            }
        }
        return copy
    }

    private func disturbed(_ entry: apus_connection, _ random: inout RandomSource) -> apus_connection {
        var copy = entry
        if Int.random(in: 0..<3, using: &random) == 0 { copy.flags ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        if Int.random(in: 0..<6, using: &random) == 0 {
            copy.sides.0.tcp_flags = .random(in: 0..<32, using: &random)
            copy.sides.1.tcp_flags = .random(in: 0..<32, using: &random)
        }
        if Int.random(in: 0..<10, using: &random) == 0 { copy.opener ^= 1 }
        if Int.random(in: 0..<10, using: &random) == 0 { copy.source_port = .random(in: 0...65535, using: &random) }
        if Int.random(in: 0..<10, using: &random) == 0 { copy.sides.0.endpoint = 1 }
        if Int.random(in: 0..<10, using: &random) == 0 { copy.last_seen_ns = 1 }
        return copy
    }
}
