public import Addressing

/// One way that a packet of a ``PolicyQuestion`` can take, and what each end's policies say of it.
public struct PolicyPath: Sendable, Hashable, Codable {
    /// One end.
    public struct End: Sendable, Hashable, Codable {
        public var address: String
        /// `namespace/name`; nil when the address is no pod's.
        public var pod: String?
        /// The pod's node, when it is known.
        public var node: String?

        public init(address: String, pod: String? = nil, node: String? = nil) {
            self.address = address
            self.pod = pod
            self.node = node
        }

        /// For people: `shop/web-1 (10.244.1.11)` or the address.
        public var text: String { pod.map { "\($0) (\(address))" } ?? address }
    }

    /// The name of the DNS that the destination was given as.
    public struct Name: Sendable, Hashable, Codable {
        public var name: String
        /// Whether the destination's address is held under it for the source's policy; otherwise nothing is, and the
        /// address stands for one that an answer would bring.
        public var learned: Bool

        public init(name: String, learned: Bool) {
            self.name = name
            self.learned = learned
        }

        /// For people: `www.example.com (198.51.100.1)`.
        ///
        /// - Parameter address: the end that it leads to.
        public func text(_ address: End) -> String { "\(name) (\(learned ? address.text : "not learned"))" }
    }

    private enum CodingKeys: String, CodingKey {
        case source, destination, name, port, service, egress, ingress
        case ipProtocol = "protocol"
    }

    public var source: End
    public var destination: End
    /// Nil when the destination was given as something else.
    public var name: Name?
    public var ipProtocol: String
    /// The port that policies see: behind a Service the backend's. Nil for a protocol without ports.
    public var port: Port?
    /// The Service whose backend the destination is, `shop/web:http 10.96.0.10:80`.
    public var service: String?
    /// What the source's policies say; nil when it is no pod of this node.
    public var egress: PolicyJudgement?
    /// What the destination's policies say, likewise.
    public var ingress: PolicyJudgement?

    public init(source: End, destination: End, ipProtocol: String, port: Port? = nil, service: String? = nil) {
        self.source = source
        self.destination = destination
        self.ipProtocol = ipProtocol
        self.port = port
        self.service = service
    }

    /// The protocol and port for people, `TCP 81`.
    public var portText: String { [ipProtocol, port.map(String.init)].compactMap { $0 }.joined(separator: " ") }
}
