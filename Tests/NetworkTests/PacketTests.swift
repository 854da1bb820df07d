import Addressing
import Datapath
import TestSupport
import Testing

extension TrafficTests {
    /// Packets that are not plain requests: forged ones, neighbour discovery, errors, fragments.
    @Suite(.serialized) struct OddPackets {
        @Test func aPodSendsOnlyWhatIsItsOwn() async throws {
            try await withShop { shop in
                let (client, intruder) = (shop.lab.pod("client"), shop.lab.pod("intruder"))
                try await intruder.serve(port: 9000, over: .udp)
                for (address, own, other) in [
                    (intruder.ipv4, client.ipv4, shop.lab.pod("web-1").ipv4),
                    (intruder.ipv6, client.ipv6, shop.lab.pod("web-1").ipv6),
                ] {
                    try await expect(.invalidSource, of: shop.agent, from: client, source: other, to: address)
                    try await expect(
                        .invalidSourceMAC, of: shop.agent, from: client, mac: mac("02:00:00:00:00:01"), source: own,
                        to: address)
                }
                #expect(try await client.ask(intruder.ipv4, 9000, over: .udp, within: .seconds(60)).isAnswered)
            }
        }

        @Test(arguments: ["on", "off"])
        func theNodesAddressAloneMakesNobodyTheNode(redirectPeer: String) async throws {
            try await withShop(options: ["--redirect-peer", redirectPeer]) { shop in
                let (node, outside, db) = (shop.agent.node, shop.lab.outside("outside"), shop.lab.pod("db-1"))
                // A further interface, which is no uplink. In IPv4 the kernel itself drops its own address there.
                let hardware = mac("0a:58:00:00:00:02")
                try await node.output(
                    [
                        "ip", "link", "add", "extra0", "address", "\(hardware)", "type", "veth", "peer", "name",
                        "extra0",
                        "netns", outside.namespace,
                    ])
                for host in [node, outside] { try await host.output(["ip", "link", "set", "extra0", "up"]) }
                let frame = Packet.ethernet(from: mac("0a:58:00:00:00:01"), to: hardware)
                    .ip(from: node.ipv6, to: db.ipv6).tcp(from: 4000, to: 5432, flags: .syn)
                let before = try shop.agent.drops(.policyIsolated)
                let command = [try BuiltProducts.path(of: "apus-traffic"), "inject", "--interface", "extra0"]
                try await outside.output(command, input: "\(frame.hexadecimal)\n")
                try await eventually("the forged packet to be dropped") {
                    try shop.agent.drops(.policyIsolated) == before + 1
                }
                for address in db.addresses {
                    #expect(try await node.ask(address, 5432, within: .seconds(60)).isAnswered, "\(address)")
                }
            }
        }

        @Test func neighboursFindEachOther() async throws {
            try await withShop { shop in
                let (node, client) = (shop.agent.node, shop.lab.pod("client"))
                let device = try #require(client.hostInterface)
                // The gateway becomes an address that somebody must answer for.
                for (gateway, length) in [("169.254.1.1", 32), ("fe80::1", 128)] {
                    try await node.output(["ip", "address", "add", "\(gateway)/\(length)", "dev", device])
                    try await client.output(["ip", "neighbour", "del", gateway, "dev", "eth0"])
                }
                try await node.output(["ip", "neighbour", "flush", "dev", device])
                for address in shop.lab.pod("web-1").addresses + shop.lab.outside("outside").addresses {
                    let port: Port = shop.lab.outside("outside").addresses.contains(address) ? 9000 : 8080
                    if port == 9000, address.isIPv4 { try await shop.lab.outside("outside").serve(port: 9000) }
                    #expect(try await client.ask(address, port, within: .seconds(60)).isAnswered, "\(address)")
                }
                try await node.output(["ip", "neighbour", "flush", "dev", device])
                for address in client.addresses {
                    let outcome = try await node.ask(address, 9, within: .seconds(60))
                    #expect(outcome == .refused, "the node finds its pod")
                }
            }
        }

        @Test(arguments: ["on", "off"])
        func aClosedPortIsToldToTheSenderThroughPolicy(redirectPeer: String) async throws {
            try await withErrors(redirectPeer) { echo in
                for address in echo.lab.pod("web-1").addresses {
                    let outcome = try await echo.client.ask(address, 9001, over: .udp, within: .seconds(60))
                    #expect(outcome == .refused, "port unreachable from \(address)")
                }
                for address in echo.lab.outside("outside").addresses {
                    let outcome = try await echo.client.ask(address, 9001, over: .udp, within: .seconds(60))
                    #expect(outcome == .refused, "port unreachable from \(address)")
                }
                for vip in Echo.closedAddresses {
                    #expect(try await echo.client.ask(vip, 9001, over: .udp, within: .seconds(60)) == .refused)
                }
            }
        }

        @Test func anErrorAboutATranslatedPacketSpeaksOfTheService() async throws {
            try await withErrors("on") { echo in
                for vip in Echo.closedAddresses {
                    let outcome = try await echo.client.ask(
                        vip, 9001, over: .udp, within: .seconds(60), covered: false)
                    #expect(outcome == .refused)
                }
            }
        }

        @Test(arguments: ["on", "off"])
        func anErrorFromTheWayReachesTheSender(redirectPeer: String) async throws {
            try await withErrors(redirectPeer) { echo in
                for (address, error) in [("192.0.2.7", "EHOSTUNREACH"), ("2001:db8:7::7", "EACCES")] {
                    try await echo.lab.router(["ip", "route", "add", "prohibit", address])
                    let outcome = try await echo.client.ask(ip(address), 9001, over: .udp, within: .seconds(60))
                    #expect(outcome == .failed(error))
                }
            }
        }

        @Test(arguments: ["on", "off"])
        func aNarrowWayIsFound(redirectPeer: String) async throws {
            try await withErrors(redirectPeer) { echo in
                let outside = echo.lab.outside("outside")
                try await outside.serve(port: 9002)
                for (address, via) in zip(Shop.internet, outside.addresses) {
                    try await echo.lab.router(
                        ["ip", "route", "replace", "\(CIDR(host: address))", "via", "\(via)", "mtu", "lock", "1300"])
                    let command = [
                        try BuiltProducts.path(of: "apus-traffic"), "stream", "--count", "2000000", "--seconds", "20",
                        "\(address)", "9002",
                    ]
                    let result = try await echo.client.run(command)
                    #expect(result.succeeded, "\(address): \(result.errors)")
                    let route = try await echo.client.output(["ip", "route", "get", "\(address)"])
                    #expect(route.contains("mtu 1300"), "\(route)")
                }
            }
        }

        @Test(arguments: ["on", "off"])
        func largeDatagramsPassInFragments(redirectPeer: String) async throws {
            try await withErrors(redirectPeer) { echo in
                let pod = echo.lab.pod("web-1")
                let outside = echo.lab.outside("outside")
                try await outside.serve(port: 8053, over: .udp)
                for address in pod.addresses + outside.addresses {
                    #expect(try await echo.client.exchangesLarge(address, 8053), "\(address)")
                }
                for (vip, covered) in Echo.addresses.flatMap({ [($0, true), ($0, false)] }) {
                    #expect(try await echo.client.exchangesLarge(vip, Echo.udpPort, covered: covered), "\(vip)")
                }
            }
        }

        /// Sends a forged datagram and expects it to be dropped for the reason, and not to arrive.
        private func expect(
            _ reason: DropReason, of agent: AgentProcess, from pod: LabHost, mac: MACAddress? = nil,
            source: IPAddress, to destination: IPAddress
        ) async throws {
            let before = try agent.drops(reason)
            let frame = Packet.ethernet(from: mac ?? pod.macAddress, to: TestSupport.mac("ee:ee:ee:ee:ee:ee"))
                .ip(from: source, to: destination).udp(from: 4000, to: 9000).payload("=forged")
            let command = [try BuiltProducts.path(of: "apus-traffic"), "inject", "--interface", pod.interface]
            try await pod.output(command, input: "\(frame.hexadecimal)\n\(frame.hexadecimal)\n")
            #expect(try agent.drops(reason) == before + 2, "\(source) to \(destination): \(reason)")
        }

        /// The echo lab where every pod is isolated both ways and only named ports are open.
        private func withErrors(_ redirectPeer: String, _ body: (Echo) async throws -> Void) async throws {
            let policy = Manifest.policy(
                "tight",
                """
                {podSelector: {}, policyTypes: [Ingress, Egress],
                  ingress: [{from: [{podSelector: {}}], ports: [{protocol: UDP, port: 9001}, {protocol: UDP, port: 8053}]}],
                  egress: [{ports: [{protocol: UDP, port: 9001}, {protocol: UDP, port: 8053}, {protocol: TCP, port: 9002}]}]}
                """)
            let closed = Manifest.service(
                "closed", clusterIPs: Echo.closedAddresses,
                ports: [Manifest.ServicePort(ipProtocol: .udp, port: 9001, target: 9001)],
                endpoints: [ip("10.244.1.11"), ip("fd00:10:244:1::b")])
            try await withEcho(
                options: ["--redirect-peer", redirectPeer], more: ["policy.yaml": policy, "closed.yaml": closed], body)
        }
    }
}

extension Echo {
    /// A Service whose only pod listens on no such port.
    static let closedAddresses = [ip("10.96.1.3"), ip("fd00:10:96::1:3")]
}

extension LabHost {
    /// Whether datagrams that take several packets are answered by as large ones.
    func exchangesLarge(_ address: IPAddress, _ port: Port, covered: Bool = true) async throws -> Bool {
        let command = [
            try BuiltProducts.path(of: "apus-traffic"), "rr", "--udp", "--size", "4000", "--count", "20",
            "--timeout-ms", "60000", "--seconds", "60", "\(address)", "\(port)",
        ]
        return try await run(command, covered: covered).succeeded
    }
}

extension Lab {
    /// Runs a command in the namespace of the fabric, the router of all.
    func router(_ command: [String]) async throws {
        let result = try await run(["nsenter", "--net=/run/netns/\(id)-fabric", "--"] + command)
        guard result.succeeded else { throw LabError(command.joined(separator: " "), result.errors) }
    }
}
