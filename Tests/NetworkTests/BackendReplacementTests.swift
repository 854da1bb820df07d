import Addressing
import Datapath
import Foundation
import TestSupport
import Testing

extension TrafficTests {
    /// All backends of a Service are replaced, again and again, while clients ask for it in every way.
    ///
    /// A change begins when the test writes the EndpointSlices, and is in force at the latest when the test has seen that
    /// every frontend in the kernel's maps leads to the new backends and to no other. Only then comes the next one, so
    /// each is in force for itself. A backend was gone before a request was sent if from the client's clock before it
    /// opens its socket, until it has the answer, no state of the Service had it: that is from the moment when its
    /// successors were seen in the maps until the change begins that brings it back. The clocks are one, as all hosts of
    /// a lab share a kernel. The pods themselves go on to live, so none of their answers is missed.
    ///
    /// Of each state one backend is on the node and one elsewhere.
    ///
    /// A request is a connection, or a datagram from a port of its own: to datagrams that go on from one port
    /// [a backend is gone](../../docs/decisions/0015-datagrams-of-gone-backends.md) a second later only.
    @Suite(.serialized) struct BackendReplacement {
        private static let schedule = FlipSchedule(seconds: 3)
        /// Each takes the place of the one before it, and all others are gone meanwhile.
        private static let groups = (1...4).map { ["web-\($0)", "far-\($0)"] }

        @Test(.shows(.replacedUnderLoad)) func noRequestFailsAndNoneGoesToABackendThatWasGone() async throws {
            try await withReplacement { world in
                let losses = try await LossWitness(world.clients, asking: world.lab.pod("web-1").ipv4, 8080)
                let loads = try world.startLoads()
                try await eventually("all clients to have asked") { loads.allSatisfy { $0.process.lines.count > 5 } }
                var timeline = Timeline(groups: Self.groups.count)
                let flips = try await Self.schedule.run { number in
                    let group = number % Self.groups.count
                    let begun = Timeline.now()
                    try await world.put(Self.groups[group])
                    timeline.add(group: group, begun: begun, inForce: Timeline.now())
                }
                #expect(flips.isOnTime, "\(flips)")
                var summary = Summary()
                for load in loads {
                    let (requests, report) = try await world.end(load)
                    #expect(
                        report.failed == 0 && requests.count >= 20 * Self.schedule.seconds / 2, "\(load): \(report)")
                    for request in requests { summary.count(request, timeline, Self.groups) }
                    load.row.seen(load.ipProtocol, at: load.address)
                }
                let lost = try await losses.end()
                print("\(flips): \(summary); \(lost)")
                #expect(lost.isExplained, "\(lost)")
                #expect(summary.toGone.isEmpty, "\(summary)")
                #expect(summary.puttingToTheTest > summary.requests / 2, "\(summary)")
                #expect(summary.answering.count == 2 * Self.groups.count, "\(summary)")
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        /// What became of the requests.
        private struct Summary: CustomStringConvertible {
            var requests = 0
            /// Requests at whose time some backend was gone.
            var puttingToTheTest = 0
            var toGone: [LoggedRequest] = []
            var answering: Set<String> = []
            /// How long the one took that took longest.
            var slowest = 0.0

            mutating func count(_ request: LoggedRequest, _ timeline: Timeline, _ groups: [[String]]) {
                requests += 1
                slowest = max(slowest, request.answered - request.sent)
                answering.insert(request.outcome)
                let there = timeline.groups(from: request.sent, to: request.answered)
                if there.count < groups.count { puttingToTheTest += 1 }
                if !there.contains(where: { groups[$0].contains(request.outcome) }) { toGone.append(request) }
            }

            var description: String {
                "\(requests) requests, \(puttingToTheTest) while some backend was gone, \(toGone.count) to one that was"
                    + (toGone.first.map { ", as \($0)" } ?? "")
                    + ", the slowest took \(Int(slowest * 1000)) ms"
            }
        }

        /// Lends a node with the Service, all servers and clients; the first group serves first.
        private func withReplacement(_ body: (ReplacementWorld) async throws -> Void) async throws {
            let near = Self.groups.map { $0[0] } + ["client"]
            let plan = LabPlan(
                nodes: [
                    NodePlan("node-a", number: 1, pods: near),
                    NodePlan("node-b", number: 2, pods: Self.groups.map { $0[1] }),
                ],
                outside: [HostPlan("outside", number: 1)])
            try await withLab(plan) { lab in
                let files = [
                    "pods.yaml": Manifest.file(near.map { Manifest.pod(lab.pod($0)) }),
                    "service.yaml": ReplacementWorld.service(lab),
                    "slices.yaml": ReplacementWorld.slices(lab, Self.groups[0]),
                ]
                // Slots are free again a second after they are used no more.
                let agent = try await AgentProcess.started(
                    lab, manifests: try ManifestDirectory(lab, files), options: ["--map-size-slots", "65536"])
                for pod in Self.groups.flatMap({ $0 }) {
                    try await lab.pod(pod).serve(port: 8080)
                    try await lab.pod(pod).serve(port: 8053, over: .udp)
                }
                let world = ReplacementWorld(lab: lab, agent: agent)
                try await world.routeFromOutside()
                try await body(world)
            }
        }
    }
}

/// A request as `apus-traffic load --log` tells of it; times are seconds of the machine's monotonic clock.
private struct LoggedRequest: CustomStringConvertible {
    let sent: Double
    let answered: Double
    /// Who answered, or why nobody did.
    let outcome: String

    init?(_ line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3, let sent = Double(words[0]), let answered = Double(words[1]) else { return nil }
        (self.sent, self.answered, outcome) = (sent, answered, String(words[2]))
    }

    var description: String { "\(sent)…\(answered): \(outcome)" }
}

/// Which backends the Service had when.
private struct Timeline {
    /// One state of the Service: it may be met from its change on until the one after it is in force.
    private struct State {
        let group: Int
        let begun: Double
        let inForce: Double
    }

    private var states: [State]

    /// The first group has served since long ago.
    init(groups: Int) { states = [State(group: 0, begun: 0, inForce: 0)] }

    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    mutating func add(group: Int, begun: Double, inForce: Double) {
        states.append(State(group: group, begun: begun, inForce: inForce))
    }

    /// The groups that may have been met at some time between two.
    func groups(from start: Double, to end: Double) -> Set<Int> {
        // The last state that had begun before the request; its predecessor was there until this one was in force.
        var (low, high) = (0, states.count - 1)
        while low < high {
            let middle = (low + high + 1) / 2
            if states[middle].begun <= start { low = middle } else { high = middle - 1 }
        }
        var found: Set<Int> = [states[low].group]
        if low > 0, states[low].inForce >= start { found.insert(states[low - 1].group) }
        for state in states[(low + 1)...] {
            if state.begun > end { break }
            found.insert(state.group)
        }
        return found
    }
}

private struct ReplacementWorld {
    let lab: Lab
    let agent: AgentProcess

    /// One client that asks all the time.
    struct Load: CustomStringConvertible {
        let row = ServiceRow.replacedUnderLoad
        let process: ChildProcess
        let ipProtocol: IPProtocol
        let address: IPAddress
        let description: String
    }

    /// One with frontends of all kinds.
    static func service(_ lab: Lab) -> String {
        let ingress = OutsideWorld.balancers.map { "{ip: \"\($0)\"}" }.joined(separator: ", ")
        let externals = OutsideWorld.externals.map { "\"\($0)\"" }.joined(separator: ", ")
        return (documents(lab, []).first ?? "")
            .replacing(
                "metadata: {name: echo,",
                with: "status: {loadBalancer: {ingress: [\(ingress)]}}\nmetadata: {name: echo,"
            )
            .replacing("type: ClusterIP", with: "type: LoadBalancer\n  externalIPs: [\(externals)]")
            .replacing("port: 80}", with: "port: 80, nodePort: 30080}")
            .replacing("port: 53}", with: "port: 53, nodePort: 30053}")
    }

    static func slices(_ lab: Lab, _ pods: [String]) -> String {
        let text = documents(lab, pods).dropFirst().joined(separator: "---\n")
        return pods.filter { $0.hasPrefix("far-") }.flatMap { lab.pod($0).addresses }.reduce(text) { text, address in
            text.replacing(
                "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-a}",
                with: "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-b}")
        }
    }

    private static func documents(_ lab: Lab, _ pods: [String]) -> [String] {
        Echo.service(lab, pods).split(separator: "---\n").map(String.init)
    }

    /// Writes other endpoints, and returns when all frontends lead to them and to no other ones.
    func put(_ pods: [String]) async throws {
        let wanted = Set(pods.flatMap { lab.pod($0).addresses })
        try agent.manifests.write("slices.yaml", Self.slices(lab, pods))
        try await eventually("\(pods) to serve", every: .milliseconds(1)) {
            let frontends = try DatapathReader(bpffs: agent.bpffs).services()
            return frontends.count >= 16
                && frontends.allSatisfy { frontend in
                    !frontend.backends.isEmpty && Set(frontend.backends.map(\.address)).isSubset(of: wanted)
                }
        }
    }

    /// Lets the host outside know the way to the addresses that no host has.
    func routeFromOutside() async throws {
        for address in OutsideWorld.balancers + OutsideWorld.externals {
            let gateway = agent.node.addresses[address.isIPv4 ? 0 : 1]
            try await lab.host("outside").output(["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
        }
    }

    /// Who asks, where, and whether at the socket where both are possible.
    private typealias Way = (client: LabHost, frontend: SocketAddress, covered: Bool)

    /// A pod at the socket and per packet, a process of the node, and a host outside by addresses of each kind.
    private func ways(_ variant: ServiceVariant) -> [Way] {
        let (pod, outside) = (lab.pod("client"), lab.host("outside"))
        let family = variant.isIPv4 ? 0 : 1
        let isUDP = variant.ipProtocol == .udp
        let port = isUDP ? Echo.udpPort : Echo.tcpPort
        let vip = SocketAddress(Echo.addresses[family], port)
        return [
            (pod, vip, true), (pod, vip, false), (agent.node, vip, true),
            (outside, SocketAddress(agent.node.addresses[family], isUDP ? 30053 : 30080), true),
            (outside, SocketAddress(OutsideWorld.balancers[family], port), true),
            (outside, SocketAddress(OutsideWorld.externals[family], port), true),
        ]
    }

    /// The hosts that ask.
    var clients: [LabHost] { [lab.pod("client"), agent.node, lab.host("outside")] }

    /// Clients of each protocol and family that go each way.
    func startLoads() throws -> [Load] {
        // Ports of its own for each of a host's: no flow goes on where another one was.
        var nextPorts: [String: Int] = [:]
        return try ServiceVariant.all.flatMap { variant in
            try ways(variant).map { way in
                let first = nextPorts[way.client.name, default: 20_000]
                nextPorts[way.client.name] = first + 3_000
                let command = [
                    "load", variant.ipProtocol == .udp ? "--udp" : "--tcp", "--rate", "15", "--timeout-ms", "20000",
                    "--log", "--next-port", "--ports", "\(first)-\(first + 2_999)", "\(way.frontend.address)",
                    "\(way.frontend.port)",
                ]
                let place = way.covered ? "at the socket" : "per packet"
                return Load(
                    process: try way.client.traffic(command, covered: way.covered), ipProtocol: variant.ipProtocol,
                    address: way.frontend.address,
                    description: "\(way.client.name) to \(way.frontend), \(variant), \(place)")
            }
        }
    }

    /// Ends a client and returns its requests.
    func end(_ load: Load) async throws -> (requests: [LoggedRequest], report: LoadReport) {
        let result = await load.process.stop()
        let lines = result.output.split(separator: "\n").map(String.init)
        let requests = lines.compactMap { LoggedRequest($0) }
        return (requests, try LoadReport(parsing: lines.last ?? ""))
    }
}
