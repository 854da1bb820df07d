import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Services that share their only endpoint, and one whose endpoint is another's address: the right pod answers or
    /// nobody does, and what is open goes on.
    @Suite(.serialized) struct OverlappingServices {
        private static let twins = [ip("10.96.1.3"), ip("fd00:10:96::1:3")]

        private static func write(_ endpoints: [IPAddress], to echo: Echo, targets: [Port] = [8080, 8053]) throws {
            let ports = zip(Echo.ports, targets).map {
                Manifest.ServicePort(ipProtocol: $0.0.ipProtocol, port: $0.0.port, target: $0.1)
            }
            try echo.agent.manifests.write(
                "twin.yaml", Manifest.service("twin", clusterIPs: twins, ports: ports, endpoints: endpoints))
        }

        /// At the socket the kernel itself knows that the port is taken towards the pod.
        @Test(.shows(.sharedBackendStreams), arguments: [0, 1], [true, false])
        func onePortReachesTheSharedPodByBothServices(family: Int, covered: Bool) async throws {
            try await withEcho { echo in
                let vips = [Echo.addresses[family], Self.twins[family]]
                try echo.setBackends(["web-1"])
                try Self.write(echo.lab.pod("web-1").addresses, to: echo)
                for vip in vips {
                    try await eventually("\(vip) to lead to web-1") {
                        try await echo.client.ask(vip, Echo.tcpPort, covered: covered) == .answered("web-1")
                    }
                }
                let port = ["--ports", "40123-40123"]
                let held = try echo.client.traffic(
                    ["load", "--hold", "--rate", "50", "--timeout-ms", "60000"] + port + ["\(vips[0])", "80"],
                    covered: covered)
                try await eventually("an open connection") {
                    try await echo.agent.apus("connection", "list", "-o", "json").output.contains("40123")
                }
                // Who has closed a connection can't open it again at once from the same port.
                let outcome = try await echo.client.ask(vips[1], Echo.tcpPort, options: port, covered: covered)
                #expect(outcome == (covered ? .failed("EADDRNOTAVAIL") : .answered("web-1")))
                let list = try await echo.agent.apus("connection", "list").output
                #expect(covered || list.contains("(from 40123)"), "\(list)")
                #expect(try await echo.client.ask(vips[1], Echo.tcpPort, covered: covered) == .answered("web-1"))
                // So does its own address, beside the Service.
                let web = echo.lab.pod("web-1").addresses[family]
                let direct = try await echo.client.ask(web, 8080, options: port, covered: covered)
                #expect(direct == (covered ? .failed("EADDRNOTAVAIL") : .answered("web-1")))
                let report = try LoadReport(parsing: await held.stop().output)
                #expect(report.failed == 0 && Set(report.ids.keys) == ["web-1"], "\(report)")
                ServiceRow.sharedBackendStreams.seen(.tcp, at: vips[0])
            }
        }

        /// One socket that goes from one Service to the other keeps its port.
        @Test(.shows(.sharedBackendDatagrams), arguments: [0, 1], [true, false])
        func oneDatagramSocketAsksBothServices(family: Int, covered: Bool) async throws {
            try await withEcho { echo in
                try echo.setBackends(["web-1"])
                try Self.write(echo.lab.pod("web-1").addresses, to: echo)
                let vips = [Echo.addresses[family], Self.twins[family]]
                for vip in vips {
                    try await eventually("\(vip) to lead to web-1") {
                        try await echo.client.ask(vip, Echo.udpPort, over: .udp, covered: covered)
                            == .answered("web-1")
                    }
                }
                let name = try await echo.client.peerName(
                    after: vips[0], Echo.udpPort, over: .udp, covered: covered,
                    then: SocketAddress(vips[1], Echo.udpPort))
                #expect(name == "\(vips[1]) \(Echo.udpPort)")
                // And two sockets, one after the other, from one port.
                let port = ["--ports", "40124-40124"]
                var outcomes: [AskOutcome] = []
                for vip in [vips[0], vips[1], vips[0]] {
                    outcomes.append(
                        try await echo.client.ask(vip, Echo.udpPort, over: .udp, options: port, covered: covered))
                }
                let right = AskOutcome.answered("web-1")
                #expect(outcomes == [right, right, right])
                ServiceRow.sharedBackendDatagrams.seen(.udp, at: vips[0])
            }
        }

        @Test(.shows(.addressAsEndpoint), arguments: [0, 1], [true, false])
        func aServiceWhoseEndpointIsAnothersAddressLeadsToThatOnesPodsOrNowhere(
            family: Int, covered: Bool
        ) async throws {
            try await withEcho { echo in
                try echo.setBackends(["web-3"])
                try Self.write(Echo.addresses, to: echo, targets: [Echo.tcpPort, Echo.udpPort])
                for path in EchoPath.all where path.family == family && path.covered == covered {
                    try await eventually("\(path)") { try await echo.leads(path, to: ["web-3"]) }
                    for _ in 0..<5 {
                        switch try await echo.ask(path, Self.twins, within: .seconds(1)) {
                        case .answered(let pod): #expect(pod == "web-3", "\(path)")
                        case .refused, .timedOut, .failed: break
                        }
                    }
                    #expect(try await echo.leads(path, to: ["web-3"]), "\(path)")
                    ServiceRow.addressAsEndpoint.seen(path)
                }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }
    }
}
