/// How the agent is doing.
public struct AgentStatus: Sendable, Equatable, Codable {
    /// What the agent knows of one kind of object.
    public struct Source: Sendable, Equatable, Codable {
        /// The kind, e.g. `Pod`.
        public var kind: String
        /// Whether the first full list has arrived.
        public var synced: Bool
        /// How many objects it holds.
        public var objects: Int
        /// What is wrong with the source; nil when nothing is.
        public var error: String?

        public init(kind: String, synced: Bool, objects: Int, error: String? = nil) {
            self.kind = kind
            self.synced = synced
            self.objects = objects
            self.error = error
        }
    }

    /// Where the objects come from.
    public struct Origin: Sendable, Equatable, Codable {
        private enum CodingKeys: String, CodingKey {
            case name, synced, connected, error
            case failingSince = "failing_since"
        }

        /// The origin in words, e.g. `manifests in /etc/apus/manifests`.
        public var name: String
        /// Whether all objects have been read once. Until then, what an earlier start left in force stays.
        public var synced: Bool
        /// Whether changes of all kinds are followed now; nil from an origin that can't be lost, as a directory.
        public var connected: Bool?
        /// Since when objects of some kind can't be followed, RFC 3339 in UTC; nil while all can.
        public var failingSince: String?
        /// Why they can't; nil while all can.
        public var error: String?

        public init(
            name: String, synced: Bool, connected: Bool? = nil, failingSince: String? = nil, error: String? = nil
        ) {
            self.name = name
            self.synced = synced
            self.connected = connected
            self.failingSince = failingSince
            self.error = error
        }
    }

    /// How many objects are in force in the data path.
    public struct Programmed: Sendable, Equatable, Codable {
        /// Pods of this node.
        public var endpoints = 0
        /// Those with programs on their interface.
        public var attached = 0
        public var services = 0
        public var frontends = 0
        public var backends = 0
        public var policies = 0

        public init() {}
    }

    /// How writing to the data path goes.
    public struct Applying: Sendable, Equatable, Codable {
        private enum CodingKeys: String, CodingKey {
            case edits, errors
            case lastDurationNanoseconds = "last_duration_ns"
            case lastError = "last_error"
            case pendingRetries = "pending_retries"
        }

        /// Edits written since the start.
        public var edits: UInt64 = 0
        /// Writes that failed since the start.
        public var errors: UInt64 = 0
        /// How long the last round took, in nanoseconds.
        public var lastDurationNanoseconds: UInt64 = 0
        public var lastError: String?
        /// Edits that failed and will be tried again.
        public var pendingRetries = 0

        public init() {}
    }

    /// How collecting flows goes.
    public struct Evidence: Sendable, Equatable, Codable {
        private enum CodingKeys: String, CodingKey {
            case records, stored, followers, detail
            case lostInKernel = "lost_in_kernel"
            case lostInAgent = "lost_in_agent"
            case lostByFollowers = "lost_by_followers"
        }

        /// What is told of flows, as `--flow-detail` has it; nil: the agent does not say.
        public var detail: String?
        /// Flow records since the start.
        public var records: UInt64 = 0
        /// Flows that can be asked for now.
        public var stored = 0
        public var followers = 0
        public var lostInKernel: UInt64 = 0
        /// Records that the agent could not read or had no room for; nil: it does not say.
        public var lostInAgent: UInt64?
        public var lostByFollowers: UInt64 = 0

        public init() {}
    }

    /// How packets get to the pods of other nodes.
    public struct Routing: Sendable, Equatable, Codable {
        /// `native`, `direct` or `vxlan`.
        public var mode: String
        /// Other nodes, and those of them whose pods are routed to.
        public var nodes: Int
        public var routed: Int
        /// Routes, neighbours and forwarding entries that there should be.
        public var entries: Int
        /// The device of an overlay, and the largest packet that it takes; nil without one.
        public var device: String?
        public var mtu: UInt32?

        public init(
            mode: String, nodes: Int, routed: Int, entries: Int, device: String? = nil, mtu: UInt32? = nil
        ) {
            self.mode = mode
            self.nodes = nodes
            self.routed = routed
            self.entries = entries
            self.device = device
            self.mtu = mtu
        }
    }

    /// What an uplink has of XDP.
    public struct XDP: Sendable, Equatable, Codable {
        /// The interface's name.
        public var uplink: String
        /// `native` or `generic`; nil: it is without.
        public var mode: String?
        /// Why it is without.
        public var reason: String?

        public init(uplink: String, mode: String? = nil, reason: String? = nil) {
            self.uplink = uplink
            self.mode = mode
            self.reason = reason
        }
    }

    private enum CodingKeys: String, CodingKey {
        case version, node, started, origin, sources, programmed, applying, routing, xdp, evidence, diagnostics
        case redirectMode = "redirect_mode"
    }

    public var version: String
    public var node: String
    /// When the agent started, RFC 3339 in UTC.
    public var started: String
    /// How packets get into local pods: `peer` or `stack`.
    public var redirectMode: String
    /// nil from an agent that does not say.
    public var origin: Origin?
    public var sources: [Source] = []
    public var programmed = Programmed()
    public var applying = Applying()
    /// nil from an agent that does not say.
    public var routing: Routing?
    /// nil from an agent that does not say.
    public var xdp: [XDP]?
    public var evidence = Evidence()
    public var diagnostics: [AgentDiagnostic] = []

    public init(version: String, node: String, started: String, redirectMode: String) {
        self.version = version
        self.node = node
        self.started = started
        self.redirectMode = redirectMode
    }
}

/// Something that somebody should repair: an object that can't be used, an interface that can't be found.
public struct AgentDiagnostic: Sendable, Hashable, Codable {
    /// What it is about, e.g. `Service shop/cart`.
    public var object: String
    /// Where it comes from, e.g. a file and the number of the document in it; nil when there is no such place.
    public var location: String?
    /// What is wrong, one sentence.
    public var message: String

    public init(object: String, location: String? = nil, message: String) {
        self.object = object
        self.location = location
        self.message = message
    }
}
