public import Addressing

/// Which interface of which container in which network is meant.
public struct AttachmentKey: Sendable, Hashable, Codable {
    /// The network's name in the CNI configuration.
    public var network: String
    /// The id of the container: of a pod, its sandbox.
    public var container: String
    /// The name of the interface inside the container.
    public var interface: String

    public init(network: String, container: String, interface: String) {
        self.network = network
        self.container = container
        self.interface = interface
    }
}

/// A pod's interface as CNI plugins made it.
public struct PodAttachment: Sendable, Hashable, Codable {
    /// The pod that the interface belongs to.
    public struct Pod: Sendable, Hashable, Codable {
        public var namespace: String
        public var name: String
        /// nil where the runtime does not tell it.
        public var uid: String?

        public init(namespace: String, name: String, uid: String? = nil) {
            self.namespace = namespace
            self.name = name
            self.uid = uid
        }
    }

    private enum CodingKeys: String, CodingKey {
        case key, pod, addresses
        case hostInterfaces = "host_interfaces"
        case waitMilliseconds = "wait_ms"
    }

    public var key: AttachmentKey
    /// nil where nobody says whose it is.
    public var pod: Pod?
    public var addresses: [IPAddress]
    /// Names of interfaces on the node that the plugins made: the host's end of the link among them, if they say so.
    public var hostInterfaces: [String]
    /// How long to wait for the policy to be in force.
    public var waitMilliseconds: Int

    public init(
        key: AttachmentKey, pod: Pod?, addresses: [IPAddress], hostInterfaces: [String] = [], waitMilliseconds: Int
    ) {
        self.key = key
        self.pod = pod
        self.addresses = addresses
        self.hostInterfaces = hostInterfaces
        self.waitMilliseconds = waitMilliseconds
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        key = try container.decode(AttachmentKey.self, forKey: .key)
        pod = try container.decodeIfPresent(Pod.self, forKey: .pod)
        hostInterfaces = try container.decode([String].self, forKey: .hostInterfaces)
        waitMilliseconds = try container.decode(Int.self, forKey: .waitMilliseconds)
        addresses = try container.decode([String].self, forKey: .addresses).map { text in
            if let address = IPAddress(text) { return address }
            throw DecodingError.dataCorruptedError(
                forKey: .addresses, in: container, debugDescription: "'\(text)' is no address")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(key, forKey: .key)
        try container.encodeIfPresent(pod, forKey: .pod)
        try container.encode(addresses.map(\.description), forKey: .addresses)
        try container.encode(hostInterfaces, forKey: .hostInterfaces)
        try container.encode(waitMilliseconds, forKey: .waitMilliseconds)
    }
}

/// What is left of a network: every other attachment of it has ended.
public struct AttachmentCollection: Sendable, Hashable, Codable {
    /// An attachment of the network.
    public struct Member: Sendable, Hashable, Codable {
        public var container: String
        public var interface: String

        public init(container: String, interface: String) {
            self.container = container
            self.interface = interface
        }
    }

    public var network: String
    public var valid: [Member]

    public init(network: String, valid: [Member]) {
        self.network = network
        self.valid = valid
    }

    /// Whether an attachment has ended by what this says.
    public func hasEnded(_ key: AttachmentKey) -> Bool {
        key.network == network && !valid.contains(Member(container: key.container, interface: key.interface))
    }
}
