import Addressing
import AgentAPI
import BPF
import Datapath
import FoundationEssentials
import TestSupport
import Testing

extension NameLabTests {
    /// The agent is replaced by a build with another ABI version, and by the first one again, under load.
    @Suite(.serialized) struct Upgrades {
        /// How often there and back.
        private static let rounds =
            ProcessInfo.processInfo.environment["APUS_UPGRADE_ROUNDS"].flatMap(Int.init) ?? 1

        @Test func thereAndBackUnderLoadNothingIsLostAndWhatWasLearnedCounts() async throws {
            try await NameLab.run(options: UpgradeLoad.options) { names in
                try await UpgradeLoad.prepare(names)
                let pins = try Self.pins(names.agent)
                let load = try await UpgradeLoad.started(names)
                for round in 0..<Self.rounds {
                    // The first keeps all layouts, the second has made others of what the agent writes.
                    for (step, changed) in [[], ["policies", "services"]].enumerated() {
                        try await switchOver(names, to: .next(changing: changed))
                        try await cutShort(names, by: .next(changing: changed), after: round * 2 + step)
                        try await switchOver(names, to: .this)
                        let found = Set(try Self.pins(names.agent))
                        #expect(found == Set(pins), "\(found.symmetricDifference(pins))")
                    }
                }
                try await load.expectUnbroken()
            }
        }

        /// Starts one build in the place of the other, and looks at what has to be so at once.
        private func switchOver(_ names: NameLab, to build: UpgradeBuild) async throws {
            await names.agent.terminate()
            names.agent.use(program: build.program, options: UpgradeLoad.options + build.options)
            try names.agent.start()
            try await names.agent.ready()
            let when = "\(build.options)"
            for address in NameLab.web {
                let outcome = try await names.client.ask(address, NameLab.port, within: .seconds(60))
                #expect(outcome.isAnswered, "\(address) was learned, \(when)")
            }
            let report = try await names.agent.client.verify()
            #expect(report.isClean, "\(when): \(report)")
            #expect(!FileManager.default.fileExists(atPath: "\(names.agent.bpffs)/maps-next"), "\(when)")
            guard build == .this else { return }
            let verify = try await names.agent.apus("verify")
            #expect(verify.succeeded, "\(when): \(verify.output)")
            let list = try await names.agent.apus("fqdn", "list").output
            for address in NameLab.web { #expect(list.contains("\(address)"), "\(when): \(list)") }
        }

        /// Has this build start over the other one, and kills it at ever other points of its start; and the other one as
        /// it comes back.
        private func cutShort(_ names: NameLab, by other: UpgradeBuild, after number: Int) async throws {
            for (turn, build) in [UpgradeBuild.this, other].enumerated() {
                await names.agent.kill()
                names.agent.use(program: build.program, options: UpgradeLoad.options + build.options)
                try names.agent.start()
                try await Task.sleep(for: .milliseconds(200 + (number * 2 + turn) * 197 % 1000))
            }
            await names.agent.kill()
        }

        private static func pins(_ agent: AgentProcess) throws -> [String] {
            try ["maps", "links"].flatMap { directory in
                try FileManager.default.contentsOfDirectory(atPath: "\(agent.bpffs)/\(directory)")
            }
        }
    }
}

/// A build of the agent.
enum UpgradeBuild: Equatable {
    case this
    case next(changing: [String])

    var program: String { self == .this ? "apusd" : "apus-next-agent" }

    var options: [String] {
        guard case .next(let groups) = self else { return [] }
        return groups.flatMap { ["--changed", $0] }
    }
}

/// What goes on while agents come and go: connections of all kinds, old and new, and what is denied.
struct UpgradeLoad {
    private let herds: [ChildProcess]
    private let loads: [ChildProcess]
    private let denied: [ChildProcess]

    /// Names count for the whole test; what goes to the web server leaves in the node's name.
    static let options = [
        "--fqdn-min-ttl", "600", "--non-masquerade-cidr", "10.0.0.0/8", "--non-masquerade-cidr", "fd00::/8",
    ]
    private static let echo: Port = 9090
    private static let service = [ip("10.96.0.90"), ip("fd00:10:96::90")]
    private static let sticky = [ip("10.96.0.91"), ip("fd00:10:96::91")]

    /// Adds Services that the client may reach and has it learn the web server's name.
    static func prepare(_ names: NameLab) async throws {
        let pods = ["stranger", "dns"].map(names.lab.pod)
        let ports = [IPProtocol.tcp, .udp].map { Manifest.ServicePort(ipProtocol: $0, port: echo, target: echo) }
        let addresses = pods.flatMap(\.addresses)
        let plain = Manifest.service("echo", clusterIPs: service, ports: ports, endpoints: addresses)
        let kept = Manifest.service("sticky", clusterIPs: sticky, ports: ports, endpoints: addresses)
            .replacing("type: ClusterIP", with: "type: ClusterIP\n  sessionAffinity: ClientIP")
        try names.agent.manifests.write("echo.yaml", Manifest.file([plain, kept]))
        try names.agent.manifests.write(
            "echo-policy.yaml",
            Manifest.policy(
                "echo",
                """
                {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], \
                egress: [{to: [{podSelector: {matchLabels: {app: stranger}}}, {namespaceSelector: {}, \
                podSelector: {matchLabels: {k8s-app: kube-dns}}}], \
                ports: [{protocol: TCP, port: \(echo)}, {protocol: UDP, port: \(echo)}]}]}
                """))
        for pod in pods + [names.lab.pod("fake")] {
            for ipProtocol in [IPProtocol.tcp, .udp] { try await pod.serve(port: echo, over: ipProtocol) }
        }
        for address in service + sticky + pods.flatMap(\.addresses) {
            try await eventually("\(address) to be served") {
                try await names.client.ask(address, echo, within: .seconds(5)).isAnswered
            }
        }
        for address in NameLab.service {
            #expect(try await names.resolve("web.test", at: address, from: names.client) == .init(ok: 1))
        }
    }

    static func started(_ names: NameLab) async throws -> UpgradeLoad {
        let (client, web, pod) = (names.client, NameLab.web, names.lab.pod("stranger"))
        // Ports of its own for each: through a Service and without it, they lead to one backend.
        var ports = stride(from: 33_000, to: 60_000, by: 1_500).makeIterator()
        func own() -> [String] { ports.next().map { ["--ports", "\($0)-\($0 + 1_499)"] } ?? [] }
        var herds: [ChildProcess] = []
        for (address, port, covered) in [
            (pod.ipv4, echo, true), (service[0], echo, true), (service[0], echo, false), (service[1], echo, false),
            (web[0], NameLab.port, true), (web[1], NameLab.port, true),
        ] {
            let herd = try client.traffic(
                ["herd", "--count", "10", "--interval-ms", "20"] + own() + ["\(address)", "\(port)"], covered: covered)
            try await eventually("a herd to \(address)") {
                if let result = herd.result { throw LabError("herd", "\(result.output) \(result.errors)") }
                return herd.lines.contains("connected")
            }
            herds.append(herd)
        }
        func load(_ address: IPAddress, _ port: Port, _ options: [String], _ covered: Bool) throws -> ChildProcess {
            try client.traffic(
                ["load", "--rate", "50", "--timeout-ms", "5000", "--seconds", "600"] + own() + options
                    + ["\(address)", "\(port)"], covered: covered)
        }
        let loads = try [
            load(service[0], echo, [], false), load(service[1], echo, [], true), load(pod.ipv6, echo, [], true),
            load(web[0], NameLab.port, [], true), load(sticky[0], echo, [], false), load(sticky[1], echo, [], true),
            load(service[0], echo, ["--udp", "--hold"], false), load(service[1], echo, ["--udp", "--hold"], true),
        ]
        let denied = try [NameLab.unnamed[0], names.lab.pod("fake").ipv4].map { address in
            let port = address == NameLab.unnamed[0] ? NameLab.port : echo
            return try client.traffic(
                ["load", "--rate", "20", "--timeout-ms", "200", "--seconds", "600", "\(address)", "\(port)"])
        }
        return UpgradeLoad(herds: herds, loads: loads, denied: denied)
    }

    /// Ends it all: no connection was lost, no byte was wrong, no opening was refused, and none passed that is denied.
    func expectUnbroken() async throws {
        for herd in herds {
            let result = await herd.stop()
            #expect(result.succeeded, "\(herd.command.suffix(2)): \(result.output)")
            #expect(herd.lines.contains("wrong 0") && herd.lines.contains("closed 0"), "\(herd.lines)")
        }
        for load in loads {
            let report = try LoadReport(parsing: (await load.stop()).output)
            #expect(report.failed == 0 && report.ok > 20, "\(load.command.suffix(4)): \(report)")
            let isSticky = Self.sticky.contains { load.command.contains("\($0)") }
            if isSticky { #expect(report.ids.count == 1, "\(report)") }
        }
        for load in denied {
            let report = try LoadReport(parsing: (await load.stop()).output)
            #expect(report.ok == 0 && report.failed > 20, "\(load.command.suffix(2)): \(report)")
        }
    }
}
