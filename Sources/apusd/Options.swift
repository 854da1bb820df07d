import Agent
import ArgumentParser

/// Where the objects come from.
struct SourceOptions: ParsableArguments {
    @Option(help: .flag("manifests", "A directory of Kubernetes YAML and JSON files to read and follow."))
    var manifests: String?
    @Option(
        help: .flag(
            "kubeconfig", "A kubeconfig file that names the API server to follow.",
            default: "the cluster's own API server, with the pod's ServiceAccount"))
    var kubeconfig: String?

    /// The source; a flag wins over the variable of the other one.
    func origin() throws -> AgentConfiguration.ObjectOrigin {
        let given = (manifests, kubeconfig)
        let chosen = given == (nil, nil) ? (Environment.text("manifests"), Environment.text("kubeconfig")) : given
        switch chosen {
        case (_?, _?): throw ValidationError("--manifests and --kubeconfig exclude each other: name one source")
        case (let directory?, nil): return .manifests(directory)
        case (nil, let file?): return .kubeconfig(file)
        case (nil, nil): return .inCluster
        }
    }
}

/// Ports as `FIRST-LAST`.
struct PortRange: ExpressibleByArgument {
    let ports: ClosedRange<UInt16>

    init(ports: ClosedRange<UInt16>) { self.ports = ports }

    init?(argument: String) {
        let ends = argument.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard ends.count == 2, let first = ends[0], let last = ends[1], 0 < first, first <= last else { return nil }
        ports = first...last
    }
}

/// Where the pins are.
struct PinOptions: ParsableArguments {
    @Option(
        help: .flag(
            "bpffs", "The directory on a bpffs for pinned maps and links.", default: AgentConfiguration.usualBPFFS))
    var bpffs: String?

    func path() throws -> String { try Environment.value("bpffs", bpffs, default: AgentConfiguration.usualBPFFS) }
}

/// Where the CLI finds the agent. A group, because the parser shares groups between a command and its subcommands.
struct SocketOptions: ParsableArguments {
    @Option(help: .flag("socket", "The Unix socket for `apus`.", default: AgentConfiguration.usualSocket))
    var socket: String?

    func path() throws -> String { try Environment.value("socket", socket, default: AgentConfiguration.usualSocket) }
}

/// How often the agent does what it does again and again.
struct IntervalOptions: ParsableArguments {
    @Option(
        help: .flag(
            "drift-interval", "Seconds between two comparisons of the kernel with what is wanted, 0 for none.",
            default: 300))
    var driftInterval: Double?
    @Option(
        help: .flag("active-interval", "Seconds after which a live connection is reported again.", default: 60))
    var activeInterval: Double?
    @Option(help: .flag("denial-interval", "Seconds in which a denied flow is reported at most once.", default: 5))
    var denialInterval: Double?

    func apply(to configuration: inout AgentConfiguration) throws {
        let drift = try seconds("drift-interval", driftInterval, .seconds(300), from: 0)
        configuration.driftInterval = drift == .zero ? nil : drift
        configuration.activeInterval = try seconds("active-interval", activeInterval, configuration.activeInterval)
        configuration.denialInterval = try seconds("denial-interval", denialInterval, configuration.denialInterval)
    }

    private func seconds(
        _ name: String, _ given: Double?, _ fallback: Duration, from lowest: Double = 0.1
    ) throws -> Duration {
        let value = try Environment.value(name, given, default: fallback / .seconds(1))
        guard (lowest...86_400).contains(value) else {
            throw ValidationError("--\(name): \(value) is not a number of seconds from \(lowest) to 86400")
        }
        return .seconds(value)
    }
}

/// The sizes of the maps.
struct MapSizeOptions: ParsableArguments {
    private static let defaults = AgentConfiguration.MapSizes()

    @Option(
        help: .flag("map-size-connections", "Entries for answered connections.", default: Self.defaults.connections))
    var mapSizeConnections: Int?
    @Option(
        help: .flag(
            "map-size-half-open", "Entries for connections without an answer yet.", default: Self.defaults.halfOpen))
    var mapSizeHalfOpen: Int?
    @Option(
        help: .flag(
            "map-size-affinities", "Clients of Services with session affinity, of all together.",
            default: Self.defaults.affinities))
    var mapSizeAffinities: Int?
    @Option(help: .flag("map-size-endpoints", "Pods of this node.", default: Self.defaults.endpoints))
    var mapSizeEndpoints: Int?
    @Option(
        help: .flag("map-size-services", "Frontends: addresses and ports of Services.", default: Self.defaults.services)
    )
    var mapSizeServices: Int?
    @Option(
        help: .flag(
            "map-size-backends", "Different backends, of UDP for each Service port.", default: Self.defaults.backends))
    var mapSizeBackends: Int?
    @Option(
        help: .flag(
            "map-size-slots", "Backends of all frontends together, twice over while they change.",
            default: Self.defaults.slots))
    var mapSizeSlots: Int?
    @Option(help: .flag("map-size-policy", "Entries of the policy maps, each.", default: Self.defaults.policyEntries))
    var mapSizePolicy: Int?
    @Option(
        help: .flag(
            "map-size-peers", "Addresses of pods and nodes that policies of this node's pods speak of.",
            default: Self.defaults.peerAddresses))
    var mapSizePeers: Int?
    @Option(
        help: .flag(
            "map-size-prefixes", "Blocks that policies of this node's pods speak of.",
            default: Self.defaults.peerPrefixes))
    var mapSizePrefixes: Int?
    @Option(
        help: .flag(
            "map-size-names", "Names of pods, Services and rules, for the CLI.", default: Self.defaults.names))
    var mapSizeNames: Int?
    @Option(
        help: .flag(
            "map-size-learned", "Addresses that are learned under names, each for each policy that it is learned for.",
            default: Self.defaults.learnedAddresses))
    var mapSizeLearned: Int?
    @Option(
        help: .flag(
            "map-size-learned-names", "Names that addresses are learned under.", default: Self.defaults.learnedNames))
    var mapSizeLearnedNames: Int?
    @Option(
        help: .flag("map-size-events", "Bytes of the event ring, a power of two.", default: Self.defaults.eventRing))
    var mapSizeEvents: Int?

    func sizes() throws -> AgentConfiguration.MapSizes {
        var sizes = Self.defaults
        sizes.connections = try size("connections", mapSizeConnections, sizes.connections)
        sizes.halfOpen = try size("half-open", mapSizeHalfOpen, sizes.halfOpen)
        sizes.affinities = try size("affinities", mapSizeAffinities, sizes.affinities)
        sizes.endpoints = try size("endpoints", mapSizeEndpoints, sizes.endpoints)
        sizes.services = try size("services", mapSizeServices, sizes.services)
        sizes.backends = try size("backends", mapSizeBackends, sizes.backends)
        sizes.slots = try size("slots", mapSizeSlots, sizes.slots)
        sizes.policyEntries = try size("policy", mapSizePolicy, sizes.policyEntries)
        sizes.peerAddresses = try size("peers", mapSizePeers, sizes.peerAddresses)
        sizes.peerPrefixes = try size("prefixes", mapSizePrefixes, sizes.peerPrefixes)
        sizes.names = try size("names", mapSizeNames, sizes.names)
        sizes.learnedAddresses = try size("learned", mapSizeLearned, sizes.learnedAddresses)
        sizes.learnedNames = try size("learned-names", mapSizeLearnedNames, sizes.learnedNames)
        sizes.eventRing = try size("events", mapSizeEvents, sizes.eventRing)
        guard sizes.eventRing >= 4096, sizes.eventRing & (sizes.eventRing - 1) == 0 else {
            throw ValidationError("--map-size-events: \(sizes.eventRing) is not a power of two from 4096 up")
        }
        return sizes
    }

    private func size(_ name: String, _ given: Int?, _ fallback: Int) throws -> Int {
        let value = try Environment.value("map-size-\(name)", given, default: fallback)
        guard (2...(1 << 28)).contains(value) else {
            throw ValidationError("--map-size-\(name): \(value) is not a number from 2 to 268435456")
        }
        return value
    }
}
