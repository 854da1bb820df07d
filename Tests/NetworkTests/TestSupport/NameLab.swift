import Addressing
import Datapath
import FoundationEssentials
import TestSupport

/// A lab for names: resolvers in a pod, on the node and outside, a web server outside, and a pod that may reach what
/// is called `*.web.test` or `shop.example.test`.
struct NameLab {
    let lab: Lab
    let agent: AgentProcess

    /// Where all names below `web.test` lead.
    static let web = [ip("198.51.100.1"), ip("2001:db8:51::1")]
    /// Another address of the same server, which no name leads to.
    static let unnamed = [ip("198.51.100.2"), ip("2001:db8:51::2")]
    /// Of the Service of the resolver in a pod.
    static let service = [ip("10.96.0.53"), ip("fd00:10:96::53")]
    static let port: Port = 8080
    /// Of nginx, beside it.
    static let webPort: Port = 80

    static var plan: LabPlan {
        LabPlan(
            nodes: [NodePlan("node-a", number: 1, pods: ["client", "friend", "stranger", "dns", "fake"])],
            outside: [HostPlan("outside", number: 1, moreAddresses: web + unnamed)])
    }

    /// The same with the resolver's pod on another node, which has no agent.
    static var planOfTwoNodes: LabPlan {
        LabPlan(
            nodes: [
                NodePlan("node-a", number: 1, pods: ["client", "friend", "stranger", "fake"]),
                NodePlan("node-b", number: 2, pods: ["dns"]),
            ],
            outside: [HostPlan("outside", number: 1, moreAddresses: web + unnamed)])
    }

    var client: LabHost { lab.pod("client") }

    static func policy(_ name: String, app: String, _ matches: [String]) -> String {
        """
        apiVersion: networking.gke.io/v1alpha1
        kind: FQDNNetworkPolicy
        metadata: {name: \(name), namespace: default}
        spec:
          podSelector: {matchLabels: {app: \(app)}}
          egress:
          - matches: [\(matches.joined(separator: ", "))]
            ports: [{protocol: TCP, port: \(port)}, {protocol: TCP, port: \(webPort)}]

        """
    }

    /// A policy that lets the clients ask any resolver.
    static let asking = Manifest.policy(
        "ask",
        """
        {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], \
        egress: [{ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]}
        """)

    /// A resolver pod of the cluster in the network of its node.
    static func resolver(on node: LabHost) -> String {
        Manifest.pod("dns-host", namespace: "kube-system", labels: ["k8s-app": "kube-dns"], addresses: node.addresses)
            .replacing("nodeName: node-a", with: "nodeName: node-a\n  hostNetwork: true")
    }

    /// A Service of resolvers.
    static func resolverService(_ clusterIPs: [IPAddress], _ resolvers: [IPAddress]) -> String {
        Manifest.service(
            "node-dns", clusterIPs: clusterIPs,
            ports: [.init(ipProtocol: .udp, port: 53, target: 53), .init(ipProtocol: .tcp, port: 53, target: 53)],
            endpoints: resolvers
        ).replacing("namespace: default", with: "namespace: kube-system")
    }

    private static func manifests(_ lab: Lab, _ plan: LabPlan) throws -> ManifestDirectory {
        let labels = ["client": "client", "friend": "client", "stranger": "stranger", "fake": "fake"]
        let pods = labels.sorted { $0.key < $1.key }.map { Manifest.pod(lab.pod($0.key), labels: ["app": $0.value]) }
        let node = plan.nodes.first { $0.pods.contains { $0.name == "dns" } }?.name ?? "node-a"
        let resolver = Manifest.pod(
            lab.pod("dns"), namespace: "kube-system", labels: ["k8s-app": "kube-dns"], node: node)
        let service = Manifest.service(
            "kube-dns", clusterIPs: Self.service,
            ports: [
                .init(ipProtocol: .udp, port: 53, target: 53), .init(ipProtocol: .tcp, port: 53, target: 53),
            ],
            endpoints: lab.pod("dns").addresses
        ).replacing("namespace: default", with: "namespace: kube-system")
        return try ManifestDirectory(
            lab,
            [
                "pods.yaml": Manifest.file(pods + [resolver]), "dns.yaml": service,
                "web.yaml": policy(
                    "web", app: "client", ["{pattern: \"*.web.test\"}", "{name: Shop.Example.test}"]),
                "stranger.yaml": policy("other", app: "stranger", ["{name: other.web.test}"]),
            ])
    }

    /// Lends a lab with a ready agent and running servers.
    static func run<Result>(
        options: [String] = [], plan: LabPlan = NameLab.plan, isolation: isolated (any Actor)? = #isolation,
        _ body: (NameLab) async throws -> Result
    ) async throws -> Result {
        try await withLab(plan) { lab in
            let agent = try await AgentProcess.started(lab, manifests: manifests(lab, plan), options: options)
            let names = NameLab(lab: lab, agent: agent)
            try await names.startDnsmasq(on: lab.pod("dns"))
            try await lab.outside("outside").serve(port: port, id: "web")
            return try await body(names)
        }
    }

    /// Starts dnsmasq with the names of the lab.
    ///
    /// - Parameter address: What it listens at; nil: all addresses.
    func startDnsmasq(on host: LabHost, at address: IPAddress? = nil) async throws {
        try await host.serveNames(
            (address.map { ["--bind-interfaces", "--listen-address=\($0)"] } ?? [])
                + Self.web.map { "--address=/web.test/\($0)" } + [
                    "--local=/test/", "--cname=shop.example.test,a.web.test",
                    "--host-record=a.web.test,\(Self.web[0]),\(Self.web[1])",
                ])
    }

    /// Starts unbound with the names of the lab.
    ///
    /// - Parameters:
    ///   - more: Addresses that each name has besides the web server's.
    ///   - records: Records besides.
    func startUnbound(on host: LabHost, more: Int = 0, records: [String] = []) async throws {
        let file = "\(lab.directory)/unbound-\(host.name).conf"
        let others = ((0..<more).map { "web.test. 1 IN A 203.0.\(113 + $0 / 250).\(1 + $0 % 250)" } + records)
            .map { "  local-data: \"\($0)\"" }.joined(separator: "\n")
        let configuration = """
            server:
              interface: 0.0.0.0
              interface: ::0
              access-control: 0.0.0.0/0 allow
              access-control: ::0/0 allow
              do-daemonize: no
              chroot: ""
              username: ""
              pidfile: ""
              directory: "\(lab.directory)"
              use-syslog: no
              module-config: "iterator"
              local-zone: "web.test." redirect
              local-data: "web.test. 1 IN A \(Self.web[0])"
              local-data: "web.test. 1 IN AAAA \(Self.web[1])"
            \(others)
            remote-control:
              control-enable: no

            """
        try Data(configuration.utf8).write(to: URL(filePath: file))
        _ = try host.spawn(["unbound", "-d", "-p", "-c", file], covered: false)
        try await host.awaitResolver()
    }

    /// Starts a resolver on the outside host that answers every name with some of as many addresses, in turn; the web
    /// server has them all. Each node routes them there.
    ///
    /// - Parameters:
    ///   - first: The first address.
    ///   - block: What they lie in.
    func startPool(_ first: IPAddress, block: String, _ options: [String]) async throws {
        let outside = lab.outside("outside")
        try await route(block, through: first.isIPv4 ? outside.ipv4 : outside.ipv6)
        let server = try outside.traffic(["dns"] + options + ["\(first)", "53"], covered: false)
        try await eventually("a resolver with a pool of addresses") { server.lines.contains("listening") }
    }

    /// Has the outside host answer at all addresses of a block, and the node route them there.
    func route(_ block: String, through gateway: IPAddress) async throws {
        let family = gateway.isIPv4 ? "-4" : "-6"
        try await lab.outside("outside").output(["ip", family, "route", "add", "local", block, "dev", "lo"])
        try await lab.node("node-a").output(["ip", family, "route", "add", block, "via", "\(gateway)"])
    }

    /// Starts nginx on the outside host.
    func startWeb() async throws {
        let host = lab.outside("outside")
        let file = "\(lab.directory)/nginx.conf"
        let configuration = """
            pid \(lab.directory)/nginx.pid;
            daemon off;
            events {}
            http {
              access_log off;
              server { listen \(Self.webPort); listen [::]:\(Self.webPort); return 204; }
            }

            """
        try Data(configuration.utf8).write(to: URL(filePath: file))
        _ = try host.spawn(["nginx", "-c", file, "-e", "\(lab.directory)/nginx.log"], covered: false)
        try await eventually("a web server on \(host.name)") {
            try await !host.output(["ss", "-Hltn", "sport", "=", ":\(Self.webPort)"]).isEmpty
        }
    }

    /// What `apus-traffic resolve` tells.
    struct Resolved: Decodable, Equatable {
        var ok = 0
        var unresolved = 0
        var failed = 0
        var retransmitted = 0
        /// Failures by errno.
        var errors: [String: Int] = [:]
    }

    /// Resolves fresh names below a domain and connects to each at once.
    ///
    /// - Parameter options: how, and how long to wait where an answer is not demanded.
    func resolve(
        _ domain: String, at resolver: IPAddress, from host: LabHost, count: Int = 1, options: [String] = ["--udp"],
        covered: Bool = true
    ) async throws -> Resolved {
        let command =
            [try BuiltProducts.path(of: "apus-traffic"), "resolve", "--id", domain, "--target-port", "\(Self.port)"]
            + ["--count", "\(count)", "--timeout-ms", "60000"] + options + ["\(resolver)", "53"]
        let result = try await host.run(command, within: .seconds(600), covered: covered)
        guard let report = try? JSONDecoder().decode(Resolved.self, from: Data(result.output.utf8)) else {
            throw LabError("resolve on \(host.name)", "\(result.ending) \(result.output) \(result.errors)")
        }
        return report
    }

    /// Has the C library ask a resolver for one type of address, that of the Service unless another one is given.
    ///
    /// - Parameter options: those of resolv.conf.
    /// - Returns: the addresses, a line each; empty when there are none.
    func look(
        up name: String, from host: LabHost, at resolver: IPAddress = service[0], ipv6: Bool = false,
        options: [String] = []
    ) async throws -> String {
        let lines = ["nameserver \(resolver)", "search .", "options attempts:1 \(options.joined(separator: " "))"]
        let result = try await withResolver(lines, host, ["getent", ipv6 ? "ahostsv6" : "ahostsv4", name])
        // 2: not found.
        guard [0, 2].contains(result.status) else { throw LabError("resolve \(name)", "\(result.ending)") }
        return result.output
    }

    /// Runs a command with a resolv.conf of its own.
    private func withResolver(_ lines: [String], _ host: LabHost, _ command: [String]) async throws -> ProcessResult {
        let file = "\(lab.directory)/resolv-\(host.name)"
        try Data(lines.map { $0 + "\n" }.joined().utf8).write(to: URL(filePath: file))
        let script = #"mount --bind "$0" /etc/resolv.conf && exec "$@""#
        return try await host.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, file] + command)
    }

    /// Has the C library resolve a name through the pod's resolver and fetches from it.
    ///
    /// - Parameter resolver: options of resolv.conf.
    func fetch(
        _ name: String, from host: LabHost, search: String = ".", options: [String] = [], resolver: [String] = []
    ) async throws -> Bool {
        let lines = ["nameserver \(Self.service[0])", "search \(search)"]
        let result = try await withResolver(
            lines + (resolver.isEmpty ? [] : ["options \(resolver.joined(separator: " "))"]), host,
            ["curl", "--silent", "--max-time", "60", "--output", "/dev/null"] + options + ["http://\(name)/"])
        return result.succeeded
    }

    /// How often the data path came to an outcome so far.
    func count(_ outcome: NameOutcome) throws -> UInt64 {
        try DatapathReader(bpffs: agent.bpffs).nameOutcomes()[outcome] ?? 0
    }
}
