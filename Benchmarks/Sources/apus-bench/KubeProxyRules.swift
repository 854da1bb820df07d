import Addressing

/// iptables rules of the shape that kube-proxy writes in its iptables mode, as text for `iptables-restore`.
struct KubeProxyRules {
    private var chains: [String] = []
    private var rules: [String] = []
    private var nodePorts: [String] = []

    /// Endpoints that get a chain. kube-proxy writes one for each; those of Services that nobody calls cost memory and
    /// loading time, but no packet ever visits them, so two keep the shape without minutes of loading.
    static let endpointChains = 2

    init(_ fixture: ServiceFixture) {
        chains = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"]
        rules = [
            "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
            "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
            "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
            "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
            "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
            "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
            "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        ]
        for service in fixture.services {
            for port in service.ports { add(port, of: service) }
        }
        rules.append("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    }

    /// The input of `iptables-restore`.
    var text: String {
        let declarations = chains.map { ":\($0) - [0:0]" }
        return (Self.filterTable + ["*nat"] + declarations + rules + nodePorts + ["COMMIT", ""])
            .joined(separator: "\n")
    }

    private mutating func add(_ port: ServiceFixture.Port, of service: ServiceFixture.Service) {
        let title = "bench/\(service.name):\(port.name)"
        let hash = Self.hash(title)
        let chain = "KUBE-SVC-\(hash)"
        let frontend = "-d \(service.clusterIP)/32 -p \(port.keyword) -m \(port.keyword) --dport \(port.port)"
        chains.append(chain)
        rules.append("-A KUBE-SERVICES \(frontend) -m comment --comment \"\(title) cluster IP\" -j \(chain)")
        if let nodePort = port.nodePort { add(nodePort, port.keyword, title, hash) }
        rules.append("-A \(chain) ! -s \(ServiceFixture.podRange) \(frontend) -j KUBE-MARK-MASQ")
        for index in 0..<Self.endpointChains {
            // The measured Service's one endpoint twice: its connections pass the choice as well.
            add(port.endpoints[index % port.endpoints.count], index, of: chain, title, port)
        }
    }

    /// With `externalTrafficPolicy: Cluster`.
    private mutating func add(_ nodePort: Port, _ ipProtocol: String, _ title: String, _ hash: String) {
        let chain = "KUBE-EXT-\(hash)"
        chains.append(chain)
        nodePorts += [
            "-A KUBE-NODEPORTS -p \(ipProtocol) -m comment --comment \"\(title)\" -m \(ipProtocol) --dport \(nodePort) "
                + "-j \(chain)",
            "-A \(chain) -m comment --comment \"masquerade traffic for \(title) external destinations\" "
                + "-j KUBE-MARK-MASQ",
            "-A \(chain) -j KUBE-SVC-\(hash)",
        ]
    }

    private mutating func add(
        _ endpoint: IPAddress, _ index: Int, of service: String, _ title: String, _ port: ServiceFixture.Port
    ) {
        let chain = "KUBE-SEP-\(Self.hash("\(title)/\(index)"))"
        let left = Self.endpointChains - index
        let choice = left > 1 ? "-m statistic --mode random --probability \(1 / Double(left)) " : ""
        chains.append(chain)
        rules += [
            "-A \(service) -m comment --comment \"\(title)\" \(choice)-j \(chain)",
            "-A \(chain) -s \(endpoint)/32 -j KUBE-MARK-MASQ",
            "-A \(chain) -p \(port.keyword) -m \(port.keyword) -j DNAT --to-destination \(endpoint):\(port.port)",
        ]
    }

    /// What kube-proxy has in the filter table while every Service has endpoints.
    private static let filterTable = [
        "*filter", ":KUBE-SERVICES - [0:0]", ":KUBE-EXTERNAL-SERVICES - [0:0]", ":KUBE-PROXY-FIREWALL - [0:0]",
        ":KUBE-FORWARD - [0:0]",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "COMMIT",
    ]

    /// Sixteen characters that stand for a name, as in kube-proxy's chains; FNV-1a.
    static func hash(_ text: String) -> String {
        let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16, uppercase: true)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
