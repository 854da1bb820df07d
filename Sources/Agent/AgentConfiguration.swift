public import Addressing
internal import AgentAPI
public import CNIInstallation
package import Datapath
public import Flows
public import HTTPEndpoint
public import HubbleServer
public import LoadBalancing
public import NodeRouting

/// Everything that is set from outside when the agent starts.
public struct AgentConfiguration: Sendable {
    /// The version that the agent says it has.
    public static var version: String { Release.version }

    /// The name of this node's Node object.
    public var node: String
    /// Where the objects come from.
    public var source: ObjectOrigin
    /// The directory on a bpffs that pins are made in.
    public var bpffs: String
    /// The cgroup whose processes get Service translation at their sockets; nil: the mount of cgroup v2.
    public var cgroup: String?
    /// Names of the interfaces that lead out of the node; empty: those of the default routes.
    public var uplinks: [String]
    /// The node's addresses that node ports are on.
    public var nodePortAddresses = NodePortAddresses.all
    /// Whether clients from outside of the node are served at ClusterIPs, too.
    public var servesClusterIPsOutside = true
    /// The node's ports for what leaves in its name: of clients from outside whose backend is on another node, and of
    /// pods to the world.
    public var sourcePorts: ClosedRange<UInt16>
    /// How backends are chosen for clients from outside where a Service does not say it.
    public var algorithm: SelectionAlgorithm
    /// How answers of backends elsewhere get to clients outside.
    public var balancing: BalancingMode
    /// The places of the table of a Service that asks for one, a prime.
    public var maglevTableSize: Int
    /// Whether and where what pods send leaves in the node's name.
    public var masquerade = MasqueradeSettings()
    /// How packets get to the pods of other nodes, and by which device where that is an overlay.
    public var routing = RoutingMode.native
    public var overlay = OverlaySettings()
    /// Which uplinks get the shortcut at XDP.
    public var xdp = XDPSetting.auto
    /// Where the CLI finds the agent.
    public var socket: String
    /// Whether packets go straight into local pods, without the host's stack.
    public var redirectsToPeer: Bool
    /// Whether what clients outside and backends elsewhere send each other is forwarded without the host's stack.
    public var redirectsToUplink: Bool
    /// Whether live connections stay as they were admitted when policies change.
    public var keepsConnections: Bool
    /// What the data path tells of flows.
    public var flowDetail: FlowDetail
    /// How many flows are kept for those who ask for past ones.
    public var flowCapacity: Int
    /// How large the maps are.
    public var mapSizes: MapSizes
    /// What the maps say of themselves. Not to be set from outside: tests of upgrades build an agent of another version.
    package var layouts = MapLayouts.current
    /// How often the kernel is compared with what is wanted, and repaired; nil: never.
    public var driftInterval: Duration?
    /// After how long a live connection is reported again.
    public var activeInterval: Duration
    /// In which time a denied flow is reported at most once.
    public var denialInterval: Duration

    /// Resolvers whose answers teach names, besides those of the cluster.
    public var dnsServers: Set<CIDR>
    /// The shortest lifetime of a DNS answer, and how much longer it counts than it lives.
    public var minimumNameLifetime: Duration
    public var nameGrace: Duration

    /// How the CNI plugin is kept installed; nil: it is not.
    public var cni: CNIInstallationSettings?

    /// Where the agent answers HTTP.
    public var addresses: Addresses
    /// Where Hubble's clients find flows.
    public var hubble: HubbleServer.Configuration
    /// Where decisions of policies are logged if the cluster asks for that; nil: nowhere.
    public var policyLog: PolicyLog?
    /// Where flows are exported to.
    public var exports = FlowExports()

    /// The policy log.
    public struct PolicyLog: Sendable, Hashable {
        /// Bytes after which the file is put aside, and how many of those are kept: as on GKE.
        static let size = 10 << 20
        static let kept = 5

        /// Where readers that know GKE's look for it.
        public var path = "/var/log/network/policy_action.log"
        /// Records a second.
        public var rate = 500

        public init() {}
    }

    /// Where the agent answers HTTP; nil: not at all.
    public struct Addresses: Sendable, Hashable {
        /// Metrics in Prometheus' text format.
        public var metrics = ListenAddress(":9990")
        /// The agent's own health, for the kubelet's probes: on this host only.
        public var health = ListenAddress("127.0.0.1:9879")
        /// What kube-proxy answers to load balancers that look for nodes.
        public var proxyHealth: ListenAddress?
        /// The page for a browser on this host.
        public var web: ListenAddress?

        /// The defaults: no load balancer looks for a node that is in no cluster.
        public init(_ source: ObjectOrigin) {
            switch source {
            case .manifests: proxyHealth = nil
            case .kubeconfig, .inCluster: proxyHealth = ListenAddress(":10256")
            }
        }
    }

    /// Where the objects come from.
    public enum ObjectOrigin: Sendable, Hashable, CustomStringConvertible {
        /// A directory of manifests.
        case manifests(String)
        /// The API server of a kubeconfig's current context.
        case kubeconfig(String)
        /// The API server of the cluster that the agent is a pod of.
        case inCluster

        public var description: String {
            switch self {
            case .manifests(let directory): "manifests in \(directory)"
            case .kubeconfig(let file): "API server of \(file)"
            case .inCluster: "API server of this cluster"
            }
        }
    }

    /// Sizes of the maps in entries, of the event ring in bytes (a power of two).
    public struct MapSizes: Sendable, Hashable {
        public var connections = 262_144
        public var halfOpen = 65_536
        public var affinities = 65_536
        public var endpoints = 4_096
        public var services = 65_536
        public var backends = 262_144
        public var slots = 524_288
        public var policyEntries = 65_536
        public var peerAddresses = 65_536
        public var peerPrefixes = 16_384
        public var names = 131_072
        public var learnedAddresses = 131_072
        public var learnedNames = 262_144
        public var eventRing = 4 << 20

        public init() {}
    }

    /// Where maps and programs are pinned unless an agent is told otherwise.
    public static let usualBPFFS = "/sys/fs/bpf/apus"
    /// Where the CLI finds the agent, likewise.
    public static let usualSocket = "/run/apus/apus.sock"

    public init(node: String, source: ObjectOrigin) {
        self.node = node
        self.source = source
        addresses = Addresses(source)
        bpffs = Self.usualBPFFS
        uplinks = []
        sourcePorts = DatapathOptions.defaultSourcePorts
        algorithm = .random
        balancing = .snat
        maglevTableSize = MaglevTable.defaultSize
        socket = Self.usualSocket
        redirectsToPeer = true
        redirectsToUplink = true
        keepsConnections = false
        flowDetail = .connections
        flowCapacity = 65_536
        mapSizes = MapSizes()
        driftInterval = .seconds(300)
        activeInterval = .seconds(60)
        denialInterval = .seconds(5)
        dnsServers = []
        minimumNameLifetime = .seconds(5)
        nameGrace = .seconds(5)
        hubble = HubbleServer.Configuration()
        policyLog = PolicyLog()
    }
}
