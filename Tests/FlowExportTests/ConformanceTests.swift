import Addressing
import FlowExport
import Flows
import Foundation
import TestSupport
import Testing

/// What every way out of the agent has to keep to.
@Suite("Every way out")
struct ConformanceTests {
    private static let front = Pod("front-1", "10.1.0.1", node: "node-a").peer
    private static let cart = Pod("cart-7", "10.1.0.2", node: "node-b").peer

    /// Flows that all ways tell, numbered by their ports.
    private static func flows(_ ports: ClosedRange<Int>) -> [Flow] {
        ports.map { port in
            flow(.opened, front, cart, port: UInt16(port)) {
                $0.egressRule = RuleReference("NetworkPolicy/shop/out/egress/0")
                $0.service = FlowService(
                    frontend: SocketAddress(ip("10.96.0.1"), 80), namespace: "shop", name: "cart", portName: "http")
                $0.destinationNames = ["cart.example.com"]
            }
        }
    }

    /// What arrives of them, with all the names that the way has a place for.
    private static func arrivals(_ ports: ClosedRange<Int>, by outlet: Outlet) -> [Arrival] {
        ports.map { port in
            var arrival = Arrival(port: port, source: "shop/front-1", destination: "shop/cart-7", policy: "out")
            if outlet != .policyLog { (arrival.service, arrival.name) = ("shop/cart", "cart.example.com") }
            return arrival
        }
    }

    @Test("tells all flows with their names in order, those from before its start too", arguments: Outlet.allCases)
    func order(_ outlet: Outlet) async throws {
        try await outlet.open { way in
            let hub = FlowHub(capacity: 1000)
            hub.append(Self.flows(1...10))
            async let end: Void = way.run(hub)
            try await eventually("the first flows") { try way.arrived.count == 10 }
            for port in 11...100 { hub.append(Self.flows(port...port)) }
            hub.finish()
            await end
            let arrived = try way.arrived
            #expect(arrived == Self.arrivals(1...100, by: outlet))
        }
    }

    @Test("delays nobody when it is stuck, and all is told or counted as lost", arguments: Outlet.allCases)
    func slow(_ outlet: Outlet) async throws {
        try await outlet.open { way in
            let hub = FlowHub(capacity: 50)
            async let end: Void = way.run(hub)
            hub.append(Self.flows(1...1))
            try await eventually("the first flow") { try way.arrived.count == 1 }
            try way.block()
            for port in 2...outlet.flood { hub.append(Self.flows(port...port)) }
            #expect(hub.statistics.appended == UInt64(outlet.flood))
            try way.unblock()
            hub.finish()
            await end
            let ports = try way.ports()
            #expect(ports == ports.sorted() && Set(ports).count == ports.count, "in order and once")
            #expect(ports.last == outlet.flood && ports.count >= 50 && ports.count < outlet.flood)
            let missing = UInt64(outlet.flood - ports.count)
            if outlet.tellsLosses { #expect(try way.lost() == missing) }
            if outlet != .hubble {
                #expect(way.counts.dropped[.overwritten] == missing && way.counts.events == UInt64(ports.count))
            }
        }
    }

    @Test("tries again what failed, and neither loses nor doubles it", arguments: Outlet.exporters)
    func failing(_ outlet: Outlet) async throws {
        try await outlet.open { way in
            let hub = FlowHub(capacity: 50)
            hub.append(Self.flows(1...5))
            try way.block()
            async let end: Void = way.run(hub)
            try await eventually("failures") { way.counts.failures.values.reduce(0, +) >= 3 }
            #expect(way.counts.isFailing && way.counts.records == 0)
            try way.unblock()
            try await eventually("the flows") { try way.arrived.count == 5 }
            hub.append(Self.flows(6...7))
            hub.finish()
            await end
            #expect(try way.ports() == Array(1...7))
            #expect(!way.counts.isFailing && way.counts.dropped[.overwritten] == 0 && way.counts.events == 7)
        }
    }

    @Test("delivers what was there when it is stopped, and the next one goes on", arguments: Outlet.allCases)
    func restart(_ outlet: Outlet) async throws {
        try await outlet.open { way in
            for life in 0..<3 {
                let hub = FlowHub(capacity: 50)
                let first = life * 10 + 1
                hub.append(Self.flows(first...first + 4))
                let running = Task { await way.run(hub) }
                hub.append(Self.flows(first + 5...first + 9))
                // A client that is cut off asks the next agent: it has all where its stream ended by itself.
                if outlet == .hubble { hub.finish() } else { running.cancel() }
                await running.value
            }
            let arrived = try way.arrived
            #expect(arrived == Self.arrivals(1...30, by: outlet))
        }
    }

    @Test("leaves a receiver that takes nothing soon once it is stopped", arguments: Outlet.allCases)
    func stopping(_ outlet: Outlet) async throws {
        try await outlet.open { way in
            let hub = FlowHub(capacity: 50)
            hub.append(Self.flows(1...5))
            try way.block()
            let running = Task { await way.run(hub) }
            try await eventually("the way to be stuck") { way.isStuck }
            running.cancel()
            await running.value
            #expect(way.counts.records == 0)
        }
    }

    @Test("keeps lines whole on a full disk, and goes on when there is room", arguments: Outlet.files)
    func fullDisk(_ outlet: Outlet) async throws {
        try await outlet.open { way in
            let way = try #require(way as? FileWay)
            try await way.withSmallDisk { filler in
                let hub = FlowHub(capacity: 50)
                async let end: Void = way.run(hub)
                hub.append(Self.flows(1...40))
                try await eventually("the disk to be full") { way.counts.failures["write"] ?? 0 >= 2 }
                try FileManager.default.removeItem(atPath: filler)
                hub.finish()
                await end
                #expect(try way.ports() == Array(1...40))
            }
        }
    }
}
