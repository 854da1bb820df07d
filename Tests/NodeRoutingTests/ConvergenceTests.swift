import Addressing
import NodeRouting
import Testing

/// Any order of changes, with a kernel that refuses some writes and loses some entries.
@Suite struct RoutingConverges {
    /// A small generator of its own (splitmix64), so that a seed names a run.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
            return mixed ^ mixed >> 31
        }
    }

    private struct Refusal: Error {}

    /// Tables in memory that refuse one write of some.
    private struct Kernel: RoutingWriter {
        var entries: [RoutingEntry.Key: RoutingEntry] = [:]
        var dice: Dice
        var refuses = true
        /// Routes that led nowhere at some time.
        var unsafe: [String] = []

        private mutating func mayFail() throws(Refusal) {
            if refuses, Int.random(in: 0...9, using: &dice) == 0 { throw Refusal() }
        }

        mutating func write(_ entry: RoutingEntry) throws(Refusal) {
            try mayFail()
            entries[entry.key] = entry
            look()
        }

        mutating func remove(_ entry: RoutingEntry) throws(Refusal) {
            try mayFail()
            entries[entry.key] = nil
            look()
        }

        /// A route over the overlay needs its neighbour, and that one its node.
        mutating func look() {
            for case .route(let route) in entries.values where route.interface == Cluster.overlay {
                guard case .neighbour(_, let hardware, _)? = entries[.neighbour(route.gateway)],
                    entries[.forwarding(hardware)] != nil
                else {
                    unsafe.append("\(route.destination)")
                    continue
                }
            }
        }
    }

    private static func randomNode(_ dice: inout Dice) -> RoutedNode {
        let number = Int.random(in: 2...6, using: &dice)
        var node = Cluster.node(number)
        // Addresses move, ranges are taken by others, families come and go.
        if Int.random(in: 0...3, using: &dice) == 0 {
            node.addresses[0] = ip("192.0.2.\(Int.random(in: 2...9, using: &dice))")
        }
        if Int.random(in: 0...5, using: &dice) == 0 {
            node.ranges = [cidr("10.244.\(Int.random(in: 1...6, using: &dice)).0/24")]
        }
        if Int.random(in: 0...5, using: &dice) == 0 { node.addresses.removeLast() }
        return node
    }

    @Test(arguments: [RoutingMode.direct, .vxlan], 0..<60)
    func toWhatTheNodesSay(mode: RoutingMode, seed: Int) {
        var dice = Dice(state: UInt64(seed))
        var plan = Cluster.plan(mode, [])
        var table = RoutingTable()
        table.removes = true
        var kernel = Kernel(dice: Dice(state: UInt64(seed) << 20))
        var nodes: [String: RoutedNode] = [:]
        for _ in 0..<60 {
            switch Int.random(in: 0...9, using: &dice) {
            case 0...5:
                let node = Self.randomNode(&dice)
                nodes[node.name] = node
                table.want(plan.upsert(node), by: plan)
            case 6...7:
                let name = "node-\(Int.random(in: 2...6, using: &dice))"
                nodes[name] = nil
                table.want(plan.remove(name), by: plan)
            case 8:
                // Somebody removes a route, and an event tells of it.
                if let key = kernel.entries.keys.sorted().first(where: { if case .route = $0 { true } else { false } })
                {
                    kernel.entries[key] = nil
                    _ = table.observed(key, nil)
                }
            default: _ = table.pass(&kernel)
            }
        }
        kernel.refuses = false
        for _ in 0..<3 { _ = table.pass(&kernel) }
        let fresh = Cluster.plan(mode, nodes.values.sorted { $0.name > $1.name })
        #expect(plan.entries == fresh.entries && plan.problems == fresh.problems)
        #expect(kernel.entries == fresh.entries)
        #expect(kernel.unsafe == [])
        #expect(table.isComplete && table.drift.isEmpty)
    }

    @Test func nothingIsRemovedBeforeItIsSaidSo() {
        var kernel = Kernel(dice: Dice(state: 1), refuses: false)
        let old = Cluster.plan(.vxlan, [Cluster.node(2), Cluster.node(3)])
        kernel.entries = old.entries
        var table = RoutingTable()
        table.found(Array(old.entries.values))
        let plan = Cluster.plan(.vxlan, [Cluster.node(3)])
        table.wantAll(by: plan)
        #expect(table.isComplete)
        #expect(table.pass(&kernel).written == 0)
        #expect(kernel.entries == old.entries, "nobody knows yet whether the other node is gone")
        table.removes = true
        #expect(!table.isComplete)
        let report = table.pass(&kernel)
        #expect(report.removed == 5 && report.written == 0 && report.failures.isEmpty)
        #expect(kernel.entries == plan.entries)
    }

    @Test func whatIsRefusedIsToldAndTriedAgain() {
        struct Stubborn: RoutingWriter {
            mutating func write(_ entry: RoutingEntry) throws(Refusal) { throw Refusal() }
            mutating func remove(_ entry: RoutingEntry) throws(Refusal) { throw Refusal() }
        }
        var kernel = Stubborn()
        let plan = Cluster.plan(.vxlan, [Cluster.node(2)])
        var table = RoutingTable()
        table.wantAll(by: plan)
        let report = table.pass(&kernel)
        #expect(report.failures.map(\.key) == [.forwarding(OverlayDevice.hardware(of: ip("192.0.2.2")))])
        #expect(!table.isComplete && table.drift.count == 5, "what leads there waits")
    }
}
