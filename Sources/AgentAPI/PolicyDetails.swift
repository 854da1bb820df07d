/// Which policies somebody wants to see.
public struct PolicySelection: Sendable, Hashable, Codable {
    /// Nil for any.
    public var namespace: String?
    /// The name of an object, or the id of a compiled policy in hexadecimal.
    public var name: String

    public init(namespace: String? = nil, name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// Parses `name`, `namespace/name` or an id.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        self.init(namespace: parts.count == 2 ? parts[0] : nil, name: parts[parts.count - 1])
    }

    /// Whether an object is meant; of those without a namespace theirs is empty.
    public func matches(namespace: String, name: String) -> Bool {
        self.name == name && (self.namespace.map { $0 == namespace } ?? true)
    }

    /// The id, nil when the text is none.
    public var id: UInt32? { namespace == nil && name.count == 8 ? UInt32(name, radix: 16) : nil }
}

/// What the agent knows of some policies.
public struct PolicyDetails: Sendable, Hashable, Codable {
    /// A policy object.
    public struct Object: Sendable, Hashable, Codable {
        /// For people: `NetworkPolicy shop/web`.
        public var policy: String
        public var tier: PolicyJudgement.Tier.Name
        /// Nil where the kind has no priorities.
        public var priority: Int?
        /// The pods that it selects: `pods app=web in namespace shop`.
        public var subject: String
        /// The directions in which it isolates them.
        public var isolates: [String]
        /// The directions that it says anything about.
        public var directions: [String]
        /// What puts it into audit mode: `the policy`, and namespaces of its pods, for those, `namespace shop`.
        public var auditedBy: [String]
        public var rules: [Rule]
        /// Why it is not in force as written, by its fields.
        public var problems: [String]
        /// What is wrong with its newest version, where an older one is in force, which is the one described here.
        public var rejected: [String]
        /// Other versions of it that are ignored, each with its place and that of the version that counts.
        public var ignored: [String]?
        /// The pods of this node that it selects.
        public var endpoints: [Endpoint]

        public init(
            policy: String, tier: PolicyJudgement.Tier.Name, priority: Int? = nil, subject: String,
            isolates: [String] = [], directions: [String] = [], auditedBy: [String] = [], rules: [Rule] = [],
            problems: [String] = [], rejected: [String] = [], ignored: [String]? = nil, endpoints: [Endpoint] = []
        ) {
            self.policy = policy
            self.tier = tier
            self.priority = priority
            self.subject = subject
            self.isolates = isolates
            self.directions = directions
            self.auditedBy = auditedBy
            self.rules = rules
            self.problems = problems
            self.rejected = rejected
            self.ignored = ignored
            self.endpoints = endpoints
        }
    }

    /// A rule of an object as written.
    public struct Rule: Sendable, Hashable, Codable {
        private enum CodingKeys: String, CodingKey {
            case rule, action, peers, ports
            case ruleName = "rule_name"
        }

        /// Its place: `ingress[0]`.
        public var rule: String
        public var ruleName: String?
        /// `allow`, `deny` or `pass`; `deny (audit)` in audit mode.
        public var action: String
        /// Nil when only the maps are there, which hold no selectors.
        public var peers: String?
        public var ports: String?

        public init(rule: String, ruleName: String? = nil, action: String, peers: String?, ports: String?) {
            self.rule = rule
            self.ruleName = ruleName
            self.action = action
            self.peers = peers
            self.ports = ports
        }
    }

    /// A pod of this node and the ids of what should judge it; nil where nothing does.
    public struct Endpoint: Sendable, Hashable, Codable {
        public var pod: String
        public var ingress: String?
        public var egress: String?

        public init(pod: String, ingress: String? = nil, egress: String? = nil) {
            self.pod = pod
            self.ingress = ingress
            self.egress = egress
        }
    }

    /// What a bit of a compiled policy admits.
    public struct Bit: Sendable, Hashable, Codable {
        public var peers: String
        public var ports: String

        public init(peers: String, ports: String) {
            self.peers = peers
            self.ports = ports
        }
    }

    public var objects: [Object]
    /// Objects of which no version is in force, each with what is wrong with it.
    public var refused: [String]
    /// What the rules of the compiled policy admit, in the order of their bits; nil when there is no such policy.
    public var compiled: [Bit]?

    public init(objects: [Object] = [], refused: [String] = [], compiled: [Bit]? = nil) {
        self.objects = objects
        self.refused = refused
        self.compiled = compiled
    }
}
