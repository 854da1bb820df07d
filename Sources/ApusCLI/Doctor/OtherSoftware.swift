/// Software that does what Apus does, and how it is recognised.
struct OtherSoftware: Sendable {
    let name: String
    let advice: String
    /// Beginnings of the names of its chains in iptables and of its tables in nftables.
    var chains: [String] = []
    var tables: [String] = []
    /// Names of its processes, as /proc/PID/comm shows them: at most 15 bytes.
    var processes: [String] = []
    /// Beginnings of the names of its interfaces.
    var interfaces: [String] = []
    /// Files or directories that it makes.
    var paths: [String] = []

    private static let proxyAdvice =
        "both translate Services; remove kube-proxy and its rules (kube-proxy --cleanup) once Apus runs"

    private static func networkAdvice(_ name: String) -> String {
        "\(name) enforces policies too, and packets must pass both; switch its policy enforcement off or remove it"
    }

    /// kubelet makes chains that begin with KUBE- too, so kube-proxy is known by its own.
    static let all = [
        OtherSoftware(
            name: "kube-proxy", advice: proxyAdvice,
            chains: ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-SVC-", "KUBE-PROXY-"], tables: ["kube-proxy"],
            processes: ["kube-proxy"], interfaces: ["kube-ipvs0"]),
        OtherSoftware(
            name: "Calico", advice: networkAdvice("Calico"), chains: ["cali-"], tables: ["calico"],
            processes: ["calico-node", "calico-felix"], interfaces: ["vxlan.calico", "bpfin.cali"],
            paths: ["/sys/fs/bpf/tc/globals/cali_v4_ct", "/etc/cni/net.d/10-calico.conflist"]),
        OtherSoftware(
            name: "Cilium", advice: networkAdvice("Cilium"), chains: ["CILIUM_"], processes: ["cilium-agent"],
            interfaces: ["cilium_host", "cilium_net", "cilium_vxlan"],
            paths: ["/sys/fs/bpf/cilium", "/sys/fs/bpf/tc/globals/cilium_ipcache", "/etc/cni/net.d/05-cilium.conflist"]),
        OtherSoftware(
            name: "Antrea", advice: networkAdvice("Antrea"), chains: ["ANTREA-"], processes: ["antrea-agent"],
            interfaces: ["antrea-gw0"], paths: ["/etc/cni/net.d/10-antrea.conflist"]),
        OtherSoftware(
            name: "kube-router", advice: networkAdvice("kube-router"), chains: ["KUBE-ROUTER-"],
            processes: ["kube-router"], interfaces: ["kube-bridge"]),
        OtherSoftware(
            name: "Weave Net", advice: networkAdvice("Weave Net"), chains: ["WEAVE"], processes: ["weaver"],
            interfaces: ["weave"]),
    ]

    static func named(_ name: String) -> OtherSoftware? { all.first { $0.name == name } }

    /// What the names of chains, as `iptables-save` prints them, say.
    static func traces(ofChains names: [String]) -> [NodeFacts.Trace] {
        traces(names, \.chains) { "iptables chain \($0)" }
    }

    static func traces(ofTables names: [String]) -> [NodeFacts.Trace] {
        traces(names, \.tables) { "nftables table \($0)" }
    }

    static func traces(ofInterfaces names: [String]) -> [NodeFacts.Trace] {
        traces(names, \.interfaces) { "interface \($0)" }
    }

    static func traces(ofProcesses names: [String]) -> [NodeFacts.Trace] {
        all.flatMap { software in
            Set(names).intersection(software.processes).sorted().map {
                NodeFacts.Trace(owner: software.name, place: "process \($0)")
            }
        }
    }

    /// One trace for each beginning that matches: hundreds of chains are one sign.
    private static func traces(
        _ names: [String], _ beginnings: (OtherSoftware) -> [String], _ place: (String) -> String
    ) -> [NodeFacts.Trace] {
        all.flatMap { software in
            beginnings(software).compactMap { beginning in
                names.first { $0.hasPrefix(beginning) }.map {
                    NodeFacts.Trace(owner: software.name, place: place($0))
                }
            }
        }
    }
}
