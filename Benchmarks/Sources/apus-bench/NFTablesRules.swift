import Addressing

/// nftables rules of the shape that kube-proxy writes in its nftables mode, as text for `nft -f`.
struct NFTablesRules {
    private var chains: [String] = []
    private var serviceIPs: [String] = []
    private var nodePorts: [String] = []
    private var clusterIPs: [String] = []
    private let node: IPAddress

    /// - Parameter node: The address that node ports are on.
    init(_ fixture: ServiceFixture, node: IPAddress) {
        self.node = node
        for service in fixture.services {
            clusterIPs.append("\(service.clusterIP)")
            for port in service.ports { add(port, of: service) }
        }
    }

    /// The input of `nft -f`.
    var text: String {
        let lines =
            ["table ip kube-proxy {"] + sets + Self.marking + Self.filters + chains + maps + Self.hooks + ["}", ""]
        return lines.joined(separator: "\n")
    }

    private mutating func add(_ port: ServiceFixture.Port, of service: ServiceFixture.Service) {
        let title = "bench/\(service.name)/\(port.keyword)/\(port.name)"
        let name = "\(Self.hash(title))-\(title)"
        let endpoints = (0..<KubeProxyRules.endpointChains).map {
            addEndpoint($0, port.endpoints[$0 % port.endpoints.count], title, port)
        }
        let marked = "ip daddr \(service.clusterIP) ip saddr != \(ServiceFixture.podRange) jump mark-for-masquerade"
        chains.append(
            "chain service-\(name) { \(marked); \(Self.choice(endpoints, isMeasured: service.isMeasured)); }")
        serviceIPs.append("\(service.clusterIP) . \(port.keyword) . \(port.port) : goto service-\(name)")
        guard let nodePort = port.nodePort else { return }
        chains.append("chain external-\(name) { jump mark-for-masquerade; goto service-\(name); }")
        nodePorts.append("\(port.keyword) . \(nodePort) : goto external-\(name)")
    }

    /// Returns the chain's name.
    private mutating func addEndpoint(
        _ index: Int, _ endpoint: IPAddress, _ title: String, _ port: ServiceFixture.Port
    ) -> String {
        let chain = "endpoint-\(Self.hash("\(title)/\(index)"))-\(title)__\(endpoint)/\(port.port)"
        chains.append(
            "chain \(chain) { ip saddr \(endpoint) jump mark-for-masquerade; "
                + "meta l4proto \(port.keyword) dnat to \(endpoint):\(port.port); }")
        return chain
    }

    /// kube-proxy has a random choice in the chain of every Service. Each is a map of its own, and the kernel looks
    /// through all of them to name one more: ten thousand take a quarter of a minute to load. So only the Service that
    /// is asked for has one; no packet visits the chains of the others.
    private static func choice(_ endpoints: [String], isMeasured: Bool) -> String {
        guard isMeasured else { return "goto \(endpoints[0])" }
        let verdicts = endpoints.enumerated().map { "\($0) : goto \($1)" }.joined(separator: ", ")
        return "numgen random mod \(endpoints.count) vmap { \(verdicts) }"
    }

    private var sets: [String] {
        [
            "set cluster-ips { type ipv4_addr; \(Self.elements(clusterIPs)) }",
            "set nodeport-ips { type ipv4_addr; \(Self.elements(["\(node)"])) }",
        ] + ["no-endpoint-services", "firewall-ips"].map { Self.map($0, "ipv4_addr . inet_proto . inet_service", []) }
            + [Self.map("no-endpoint-nodeports", "inet_proto . inet_service", [])]
    }

    private var maps: [String] {
        [
            Self.map("service-ips", "ipv4_addr . inet_proto . inet_service", serviceIPs),
            Self.map("service-nodeports", "inet_proto . inet_service", nodePorts),
        ]
    }

    private static func map(_ name: String, _ key: String, _ verdicts: [String]) -> String {
        "map \(name) { type \(key) : verdict; \(elements(verdicts)) }"
    }

    private static func elements(_ elements: [String]) -> String {
        elements.isEmpty ? "" : "elements = { \(elements.joined(separator: ",\n")) }"
    }

    private static let marking = [
        "chain mark-for-masquerade { mark set mark or 0x4000; }",
        "chain masquerading {", "mark and 0x4000 == 0 return", "mark set mark xor 0x4000", "masquerade fully-random",
        "}",
    ]

    private static let filters = [
        "chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }",
        "chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }",
        "chain nodeport-endpoints-check {",
        "ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports",
        "}",
        "chain cluster-ips-check { ip daddr @cluster-ips reject; }",
        "chain filter-prerouting-pre-dnat {", "type filter hook prerouting priority -110",
        "ct state new jump firewall-check", "}",
        "chain filter-output-pre-dnat {", "type filter hook output priority -110", "ct state new jump firewall-check",
        "}",
        "chain filter-input {", "type filter hook input priority 0", "ct state new jump nodeport-endpoints-check",
        "ct state new jump service-endpoints-check", "}",
        "chain filter-forward {", "type filter hook forward priority 0", "ct state new jump service-endpoints-check",
        "ct state new jump cluster-ips-check", "}",
        "chain filter-output {", "type filter hook output priority 0", "ct state new jump service-endpoints-check",
        "ct state new jump cluster-ips-check", "}",
    ]

    private static let hooks = [
        "chain services {", "ip daddr . meta l4proto . th dport vmap @service-ips",
        "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports", "}",
        "chain nat-prerouting { type nat hook prerouting priority -100; jump services; }",
        "chain nat-output { type nat hook output priority -100; jump services; }",
        "chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }",
    ]

    /// Eight characters, as in kube-proxy's chains.
    private static func hash(_ text: String) -> Substring { KubeProxyRules.hash(text).prefix(8) }
}
