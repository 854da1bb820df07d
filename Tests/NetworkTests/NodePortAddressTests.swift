import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Node ports, and the port where a load balancer asks for endpoints, on the primary addresses of a node.
    @Suite struct PrimaryAddresses {
        private static let local = "externalTrafficPolicy: Local\n  healthCheckNodePort: 32100"
        /// What the node has besides the addresses of its uplink.
        private static let others = [ip("198.18.7.1"), ip("2001:db8:18::1")]

        @Test(.shows(.primaryAddresses)) func nodePortsFollowWhatTheNodeObjectNames() async throws {
            try await withOutside(more: Self.local, options: ["--nodeport-addresses", "primary"]) { world in
                try await world.addToNode(Self.others)
                let own = world.agent.node.addresses
                try await world.expectNodePorts(on: own, notOn: Self.others)
                try await world.setBackends(["web-3"], more: Self.local)
                for address in own { try await world.expectCheck(at: address, status: 503, endpoints: 0) }
                try await world.setBackends(OutsideWorld.pods, more: Self.local)
                try await world.expectNodePorts(on: Self.others, notOn: own)
                for address in Self.others { try await world.expectCheck(at: address, status: 200, endpoints: 2) }
                // An address that the node loses is nobody's any more.
                try await world.agent.node.output(["ip", "addr", "del", "\(CIDR(host: Self.others[0]))", "dev", "lo"])
                try await eventually("one family to be left") {
                    let list = try await world.agent.apus("service", "list").output
                    return !list.contains("\(Self.others[0]):30080") && list.contains("[\(Self.others[1])]:30080")
                }
                try await world.expectCheck(at: Self.others[1], status: 200, endpoints: 2)
            }
        }
    }
}

extension OutsideWorld {
    /// Gives the node addresses that the host outside finds the way to.
    fileprivate func addToNode(_ addresses: [IPAddress]) async throws {
        for address in addresses {
            try await agent.node.output(["ip", "addr", "add", "\(CIDR(host: address))", "dev", "lo"])
            let gateway = agent.node.addresses[address.isIPv4 ? 0 : 1]
            try await outside.output(["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
        }
    }

    /// Has the Node object name these addresses, and expects node ports and health checks on no other ones.
    fileprivate func expectNodePorts(on named: [IPAddress], notOn others: [IPAddress]) async throws {
        let addresses = named.map { "{type: InternalIP, address: \"\($0)\"}" }.joined(separator: ", ")
        try agent.manifests.write(
            "node.yaml",
            """
            apiVersion: v1
            kind: Node
            metadata: {name: node-a}
            status: {addresses: [\(addresses)]}
            """)
        try await eventually("node ports on \(named)") {
            let list = try await agent.apus("service", "list").output
            return named.allSatisfy { list.contains("\(SocketAddress($0, 30080))/TCP") }
                && others.allSatisfy { !list.contains("\(SocketAddress($0, 30080))/TCP") }
        }
        for ipProtocol in [IPProtocol.tcp, .udp] {
            let port: UInt16 = ipProtocol == .tcp ? 30080 : 30053
            for address in named {
                let report = try await outside.load(address, port, over: ipProtocol, options: ["--count", "40"])
                #expect(Set(report.ids.keys) == ["web-1", "web-2"] && report.failed == 0, "\(address): \(report)")
            }
            for address in others {
                let outcome = try await outside.ask(address, port, over: ipProtocol)
                #expect(outcome == .refused, "\(ipProtocol) \(address): \(outcome)")
                ServiceRow.primaryAddresses.seen(ipProtocol, at: address)
            }
        }
        for address in others {
            try await eventually("no health check at \(address)") {
                try await outside.ask(address, 32100) == .refused
            }
        }
    }

    fileprivate func expectCheck(at address: IPAddress, status: Int, endpoints: Int) async throws {
        let host = address.isIPv4 ? "\(address)" : "[\(address)]"
        try await expectCheck(at: host, status: status, endpoints: endpoints)
    }
}
