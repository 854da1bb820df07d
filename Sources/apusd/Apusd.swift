import Agent
import ArgumentParser
import Flows
import Logging

@main struct Apusd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apusd",
        abstract: "The node agent of Apus: Services, NetworkPolicy and flows in eBPF.",
        usage: """
            apusd --node <node> [--kubeconfig <kubeconfig> | --manifests <manifests>] [<options>]
            apusd install-cni [--remove] [<options>]
            apusd cleanup [--bpffs <bpffs>] [--socket <socket>]
            """,
        discussion: """
            Every flag can be set by an environment variable too, which is named behind it. The flag wins.

            Objects come from the API server of the cluster that apusd is a pod of, from that of a kubeconfig's current context, or from a directory of manifests.

            SIGTERM stops the agent and leaves the data path running; `apusd cleanup` removes it.

            Examples:
              apusd --node node-a --manifests /etc/apus/manifests
              apusd --node node-a --kubeconfig /etc/apus/kubeconfig
              APUS_NODE=node-a APUS_MANIFESTS=/etc/apus/manifests APUS_UPLINK=eth0,eth1 apusd
            """,
        version: AgentConfiguration.version,
        subcommands: [CleanUp.self, InstallCNI.self])

    @Option(help: .flag("node", "The name of this node's Node object; required."))
    var node: String?
    @OptionGroup var source: SourceOptions
    @OptionGroup var pins: PinOptions
    @Option(
        help: .flag(
            "cgroup", "The cgroup whose processes get Services at their sockets.", default: "the cgroup v2 mount"))
    var cgroup: String?
    @Option(
        help: .flag(
            "uplink", "An interface that leads out of the node; repeatable, with commas in the variable.",
            default: "the default route's"))
    var uplink: [String] = []
    @Option(
        help: .flag(
            "nodeport-addresses",
            "A block of the node's addresses that node ports are on, repeatable, with commas in the variable; or primary, those by which its Node object knows it.",
            default: "all addresses, those of loopback for the node's own processes"))
    var nodeportAddresses: [String] = []
    @Option(
        help: .flag(
            "cluster-ip-from-outside",
            "Serve ClusterIPs to clients outside, whose packets a route leads to this node; off leaves those to the host.",
            default: "on"))
    var clusterIPFromOutside: Switch?
    @OptionGroup var masquerade: MasqueradeOptions
    @OptionGroup var selection: SelectionOptions
    @OptionGroup var routing: RoutingOptions
    @OptionGroup var socket: SocketOptions
    @Option(help: .flag("log-level", "From what on is logged.", default: "info"))
    var logLevel: LogLevel?
    @Option(
        help: .flag("redirect-peer", "Hand packets straight to local pods, without the host's stack.", default: "on"))
    var redirectPeer: Switch?
    @Option(
        help: .flag(
            "redirect-uplink",
            "Forward what clients outside and backends elsewhere send each other without the host's stack.",
            default: "on"))
    var redirectUplink: Switch?
    @Option(
        help: .flag(
            "xdp",
            "Where established connections through uplinks skip the host's stack: auto (in drivers that can), native (in all), generic (behind all) or off.",
            default: "auto"))
    var xdp: XDPSetting?
    @Option(
        help: .flag(
            "live-connections", "What a change of policy does to open connections: judge them again, or keep them.",
            default: "revalidate"))
    var liveConnections: LiveConnections?
    @Option(
        help: .flag(
            "flow-detail",
            "What is told of flows: none, connections (openings, ends and sums of denials) or packets (each one besides).",
            default: "connections"))
    var flowDetail: FlowDetail?
    @Option(help: .flag("flow-capacity", "Flows kept for those who ask for past ones.", default: 65536))
    var flowCapacity: Int?
    @OptionGroup var names: NameOptions
    @OptionGroup var addresses: AddressOptions
    @OptionGroup var hubbleSocket: HubbleSocketOptions
    @OptionGroup var hubble: HubbleOptions
    @OptionGroup var exports: ExportOptions
    @OptionGroup var intervals: IntervalOptions
    @Option(
        help: .flag(
            "cni", "Keep the CNI plugin apus-cni installed, so that no pod starts before its policy is in force.",
            default: "off"))
    var cni: Switch?
    @OptionGroup var cniOptions: CNIOptions
    @OptionGroup var mapSizes: MapSizeOptions

    func run() async throws {
        let configuration = try agentConfiguration()
        let level = try Environment.value("log-level", logLevel, default: .info).level
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        try await Agent(configuration, log: Logger(label: "apusd")).run()
    }

    private func agentConfiguration() throws -> AgentConfiguration {
        let node = try required("node", node, "the name of this node's Node object")
        var configuration = AgentConfiguration(node: node, source: try source.origin())
        configuration.bpffs = try pins.path()
        configuration.cgroup = cgroup ?? Environment.text("cgroup")
        configuration.uplinks = Environment.values("uplink", uplink)
        configuration.nodePortAddresses = try nodePortAddresses()
        configuration.servesClusterIPsOutside =
            try Environment.value("cluster-ip-from-outside", clusterIPFromOutside, default: .on) == .on
        try masquerade.apply(to: &configuration)
        try selection.apply(to: &configuration)
        configuration.routing = try routing.mode()
        configuration.overlay = try routing.overlay()
        configuration.socket = try socket.path()
        configuration.redirectsToPeer = try Environment.value("redirect-peer", redirectPeer, default: .on) == .on
        configuration.redirectsToUplink = try Environment.value("redirect-uplink", redirectUplink, default: .on) == .on
        configuration.xdp = try Environment.value("xdp", xdp, default: .auto)
        configuration.keepsConnections =
            try Environment.value("live-connections", liveConnections, default: .revalidate) == .keep
        if Environment.text("flow-events") != nil {
            throw ValidationError("APUS_FLOW_EVENTS is no more: APUS_FLOW_DETAIL is none or connections")
        }
        configuration.flowDetail = try Environment.value("flow-detail", flowDetail, default: .connections)
        configuration.flowCapacity = try Environment.number(
            "flow-capacity", flowCapacity, default: configuration.flowCapacity, within: 1...(1 << 24))
        try names.apply(to: &configuration)
        try addresses.apply(to: &configuration.addresses)
        configuration.hubble = try hubble.configuration(socket: hubbleSocket.path(beside: configuration.socket))
        try exports.apply(to: &configuration)
        try intervals.apply(to: &configuration)
        if try Environment.value("cni", cni, default: .off) == .on {
            configuration.cni = try cniOptions.settings(socket: configuration.socket)
        }
        configuration.mapSizes = try mapSizes.sizes()
        return configuration
    }

    private func nodePortAddresses() throws -> NodePortAddresses {
        let flag = "nodeport-addresses"
        let words = Environment.values(flag, nodeportAddresses)
        guard words.contains("primary") else {
            return words.isEmpty ? .all : .blocks(Set(try words.map { try Environment.block(flag, $0) }))
        }
        guard words.count == 1 else { throw ValidationError("--\(flag): primary stands alone") }
        return .primary
    }

    private func required(_ flag: String, _ given: String?, _ what: String) throws -> String {
        if let value = given ?? Environment.text(flag) { return value }
        throw ValidationError("missing --\(flag) (or \(Environment.variable(flag))): \(what)")
    }
}
