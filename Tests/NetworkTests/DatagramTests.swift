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

        @Test(.shows(.firstEndpoint, .nearEndpointBack)) func thoseOfOnePortAreLedToAnEndpointThatComes() async throws {
            let policies = "externalTrafficPolicy: Local\n  internalTrafficPolicy: Local"
            try await withOutside(more: policies, backends: []) { world in
                let askers = OnePort.all(world)
                try await OnePort.expect(askers) { _ in .refused }
                for (says, outcome) in [("ready: false", AskOutcome.refused), ("ready: true", .answered("web-1"))] {
                    let text = OutsideWorld.service(world.lab, ["web-1"], more: policies)
                    try world.agent.manifests.write("echo.yaml", text.replacing("ready: true", with: says))
                    try await OnePort.expect(askers) { _ in outcome }
                }
                for asker in askers { ServiceRow.firstEndpoint.seen(.udp, at: asker.address) }
                // Those that are left are elsewhere. By packets no pod reaches itself, so the third one is asked from outside.
                for (pod, near) in [("web-3", nil), ("web-1", "web-1"), ("web-3", nil), ("web-2", "web-2")] {
                    let text = OutsideWorld.service(world.lab, Set([pod, "web-3"]).sorted(), more: policies)
                    try world.agent.manifests.write("echo.yaml", text)
                    try await OnePort.expect(askers.filter { $0.isOutside || near != $0.client.name }) { asker in
                        near.map { .answered($0) } ?? (asker.isOutside ? .timedOut : .refused)
                    }
                }
                for asker in askers { ServiceRow.nearEndpointBack.seen(.udp, at: asker.address) }
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        /// Who asks for the Service from one port again and again.
        private struct OnePort {
            let client: LabHost
            /// The port that it asks from.
            let own: Int
            let address: IPAddress
            let port: Port
            let covered: Bool
            let isOutside: Bool

            /// A pod at the socket and per packet, and a host outside at each frontend, each with a port of its own: from
            /// one port an endpoint is reached one way only.
            static func all(_ world: OutsideWorld) -> [OnePort] {
                var askers: [OnePort] = []
                func add(_ client: LabHost, _ address: IPAddress, _ port: Port, covered: Bool, isOutside: Bool) {
                    let own = 40777 + askers.count
                    askers.append(
                        OnePort(
                            client: client, own: own, address: address, port: port, covered: covered,
                            isOutside: isOutside))
                }
                for vip in Echo.addresses {
                    for covered in [true, false] {
                        add(world.lab.pod("web-2"), vip, Echo.udpPort, covered: covered, isOutside: false)
                    }
                }
                for question in world.questions where question.ipProtocol == .udp {
                    let (address, port) = world.destination(question)
                    add(world.outside, address, port, covered: true, isOutside: true)
                }
                return askers
            }

            /// Waits until each sees what it is to see.
            static func expect(
                _ askers: [OnePort], _ wanted: @escaping @Sendable (OnePort) -> AskOutcome
            ) async throws {
                try await withThrowingTaskGroup { group in
                    for asker in askers { group.addTask { try await asker.expect(wanted(asker)) } }
                    try await group.waitForAll()
                }
            }

            private func expect(_ wanted: AskOutcome) async throws {
                try await eventually("\(client.name) to see \(wanted) at \(address):\(port)") {
                    let outcome = try await client.ask(
                        address, port, over: .udp, options: ["--ports", "\(own)-\(own)"], within: .milliseconds(500),
                        covered: covered)
                    guard outcome == wanted else { throw LabError(client.name, "\(outcome)") }
                    return true
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
