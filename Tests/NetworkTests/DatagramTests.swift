import Addressing
import Datapath
import TestSupport
import Testing

extension TrafficTests {
    /// Where datagrams go of sockets that send on and on, when endpoints of their Service go.
    @Suite(.serialized) struct HeldDatagrams {
        private static let twins = [ip("10.96.1.3"), ip("fd00:10:96::1:3")]

        @Test(.shows(.terminatingKeepsDatagrams)) func theyStayWithAnEndpointThatStillServes() async throws {
            try await withEcho { echo in
                let paths = EchoPath.all.filter { $0.ipProtocol == .udp }
                let asked = paths.filter { !$0.unconnected }
                try await echo.lead(asked, to: "web-1")
                let node = echo.lab.node("node-a")
                var held: [(path: EchoPath, isOfNode: Bool, process: ChildProcess)] = []
                for path in paths {
                    held.append((path, false, try echo.hold(path, from: echo.client, rate: 50)))
                    if path.covered { held.append((path, true, try echo.hold(path, from: node, rate: 50))) }
                }
                let count = held.count
                try await eventually("answers to all") { try Self.answers(echo, of: "web-1").count == count }

                let conditions = EndpointConditions.self
                let (here, elsewhere) = (Self.hinted(to: "node-a"), Self.hinted(to: "node-b"))
                for (first, second) in [(elsewhere, here), (conditions.terminating, conditions.ready)] {
                    try Self.write(echo, ["web-1": first, "web-2": second])
                    for path in asked {
                        try await eventually("\(path)") { try await echo.leads(path, to: ["web-2"]) }
                    }
                    try await Self.expectMore(echo, of: "web-1", count)
                }
                await echo.agent.kill()
                try echo.agent.start()
                try await echo.agent.ready()
                try await Self.expectMore(echo, of: "web-1", count)
                #expect(try await echo.agent.apus("verify").succeeded)
                #expect(try Self.answers(echo, of: "web-2").isEmpty)

                try Self.write(echo, ["web-1": conditions.gone, "web-2": conditions.ready])
                try await eventually("answers of the other one") {
                    try Self.answers(echo, of: "web-2").count == count
                }
                for (path, isOfNode, process) in held {
                    let report = try LoadReport(parsing: await process.stop().output)
                    #expect(Set(report.ids.keys) == ["web-1", "web-2"], "\(path): \(report)")
                    // The node's own connected sockets are ended, and hear of it.
                    #expect(report.failed == (isOfNode && !path.unconnected ? 1 : 0), "\(path): \(report)")
                    if !isOfNode { ServiceRow.terminatingKeepsDatagrams.seen(path) }
                }
            }
        }

        @Test(.shows(.removedFromOneService)) func thoseOfOneServiceLeaveAnEndpointThatAnotherOneKeeps() async throws {
            try await withEcho { echo in
                let paths = EchoPath.all.filter { $0.ipProtocol == .udp }
                let asked = paths.filter { !$0.unconnected }
                try await echo.lead(asked, to: "web-1")
                let twin = Manifest.service(
                    "twin", clusterIPs: Self.twins, ports: Echo.ports, endpoints: echo.lab.pod("web-1").addresses)
                try echo.agent.manifests.write("twin.yaml", twin)
                for vip in Self.twins {
                    try await eventually("\(vip)") {
                        try await echo.client.ask(vip, Echo.udpPort, over: .udp) == .answered("web-1")
                    }
                }
                let node = echo.lab.node("node-a")
                var led: [(path: EchoPath, process: ChildProcess)] = []
                var others: [ChildProcess] = []
                for (path, host) in paths.map({ ($0, echo.client) }) + paths.filter(\.covered).map({ ($0, node) }) {
                    led.append((path, try echo.hold(path, from: host, rate: 50)))
                    others.append(try echo.hold(path, from: host, rate: 50, at: Self.twins[path.family]))
                }
                let count = led.count
                try await eventually("answers to all") { try Self.answers(echo, of: "web-1").count == 2 * count }

                try echo.setBackends(["web-2"])
                for path in asked { try await eventually("\(path)") { try await echo.leads(path, to: ["web-2"]) } }
                // That is in force: from here on none of them sends there.
                let before = try Self.sent(echo, to: "web-1", by: Echo.addresses)
                try await eventually("answers of the other one") {
                    try Self.answers(echo, of: "web-2").count == count
                }
                #expect(try Self.sent(echo, to: "web-1", by: Echo.addresses) == before)
                try await Self.expectMore(echo, of: "web-1", count)

                for (path, process) in led {
                    let report = try LoadReport(parsing: await process.stop().output)
                    #expect(Set(report.ids.keys) == ["web-1", "web-2"], "\(path): \(report)")
                    ServiceRow.removedFromOneService.seen(path)
                }
                for process in others {
                    let report = try LoadReport(parsing: await process.stop().output)
                    #expect(report.failed == 0 && Set(report.ids.keys) == ["web-1"], "\(report)")
                }
            }
        }

        private static func hinted(to node: String) -> String {
            "\(EndpointConditions.ready), hints: {forNodes: [{name: \(node)}]}"
        }

        private static func write(_ echo: Echo, _ pods: [String: String]) throws {
            try echo.agent.manifests.write("echo.yaml", EndpointConditions.service(echo.lab, pods))
        }

        private static func connections(_ echo: Echo, to pod: String) throws -> [ConnectionRecord] {
            try DatapathReader(bpffs: echo.agent.bpffs).connections().filter {
                $0.tuple.ipProtocol == .udp && $0.tuple.destination.port == 8053
                    && echo.lab.pod(pod).addresses.contains($0.tuple.destination.address)
            }
        }

        /// How often a pod has answered each socket that sends on and on: no `leads` asks three times.
        private static func answers(_ echo: Echo, of pod: String) throws -> [FlowTuple: UInt64] {
            let often = try connections(echo, to: pod).filter { $0.destination.sent.packets >= 3 }
            return Dictionary(often.map { ($0.tuple, $0.destination.sent.packets) }) { max($0, $1) }
        }

        /// How many datagrams such sockets have sent to a pod by a Service.
        private static func sent(_ echo: Echo, to pod: String, by vips: [IPAddress]) throws -> [FlowTuple: UInt64] {
            let often = try connections(echo, to: pod).filter { connection in
                connection.destination.sent.packets >= 3
                    && connection.frontend.map { vips.contains($0.address) } ?? false
            }
            return Dictionary(often.map { ($0.tuple, $0.source.sent.packets) }) { max($0, $1) }
        }

        /// Waits until so many of the pod's sockets have got ten answers more.
        private static func expectMore(_ echo: Echo, of pod: String, _ count: Int) async throws {
            let before = try answers(echo, of: pod)
            try await eventually("more answers of \(pod)") {
                let now = try answers(echo, of: pod)
                return before.filter { tuple, packets in now[tuple].map { $0 >= packets + 10 } ?? false }.count == count
            }
        }
    }
}
