public import Addressing

/// A packet that opens a connection, as one end's policies judge it.
public struct PolicyQuery: Sendable, Hashable, CustomStringConvertible {
    /// The pod that is judged, and whether it receives or sends.
    public var endpoint: PodKey
    public var direction: PolicyDirection
    /// The address of the other end.
    public var peer: IPAddress
    public var ipProtocol: IPProtocol
    /// The destination port, 0 for a protocol without ports.
    public var port: Port
    /// The names under which the pod's policy holds the peer's address, in lower case and without a trailing dot.
    public var peerNames: Set<String>
    /// Whether what the pod receives came in by an interface of its node: then it is not the node's, whatever its
    /// source. What a process of the node sends is not received.
    public var isReceived: Bool

    public init(
        endpoint: PodKey, direction: PolicyDirection, peer: IPAddress, ipProtocol: IPProtocol, port: Port,
        peerNames: Set<String> = [], isReceived: Bool = false
    ) {
        self.endpoint = endpoint
        self.direction = direction
        self.peer = peer
        self.ipProtocol = ipProtocol
        self.port = port
        self.peerNames = peerNames
        self.isReceived = isReceived
    }

    public var description: String {
        let arrow = direction == .ingress ? "from" : "to"
        let names = peerNames.isEmpty ? "" : " (\(peerNames.sorted().joined(separator: " ")))"
        let way = isReceived ? " by an interface" : ""
        return "\(direction.rawValue) of \(endpoint) \(arrow) \(peer)\(names)\(way), \(ipProtocol) port \(port)"
    }
}

/// What policies decide about a packet, and why.
public struct Explanation: Sendable, Hashable {
    /// What decided.
    public enum Reason: Sendable, Hashable {
        /// A pod always reaches itself.
        case ownTraffic
        /// A node always reaches its pods.
        case localNode
        /// The first rule that matches.
        case rule(RuleOrigin)
        /// No rule matches, and these policies isolate the pod.
        case isolation([PolicyName])
        /// No policy says anything about the packet.
        case nothing
    }

    /// One rule that was looked at.
    public struct Consideration: Sendable, Hashable {
        public var origin: RuleOrigin
        public var tier: PolicyTier
        public var action: PolicyAction
        /// Whether it denies in audit mode, so that it decides nothing.
        public var isAudited = false
        /// What the rule admits, as written; empty lists admit everything.
        public var peers: [PolicyPeer] = []
        public var ports: [PortRule] = []
        public var admitsPeer: Bool
        public var admitsPort: Bool

        /// Whether the rule matches the packet.
        public var matches: Bool { admitsPeer && admitsPort }

        /// The peers for people: `pods app=web in namespace shop, block 10.0.0.0/8`.
        public var peerText: String {
            // A pod selector alone looks in the policy's own namespace; a cluster policy has none, and looks in all.
            let namespace = origin.policy.namespace
            return PolicyPeer.text(peers, home: namespace.isEmpty ? .everywhere : .named(namespace))
        }

        /// The ports for people: `TCP 80, UDP`.
        public var portText: String {
            ports.isEmpty ? "every port" : ports.map(\.description).joined(separator: ", ")
        }
    }

    public var isAllowed: Bool
    public var reason: Reason
    /// What would have denied the packet if it were not in audit mode; nil for a packet that is denied anyway.
    public var audited: Reason?
    /// The rules looked at, in order, up to the deciding one.
    public var considered: [Consideration]

    /// An explanation with no more than these parts.
    public init(isAllowed: Bool, reason: Reason, audited: Reason? = nil, considered: [Consideration] = []) {
        self.isAllowed = isAllowed
        self.audited = isAllowed ? audited : nil
        self.reason = reason
        self.considered = considered
    }
}

extension Explanation: CustomStringConvertible {
    public var description: String {
        let verdict = isAllowed ? "allowed" : "denied"
        switch reason {
        case .ownTraffic: return "\(verdict): a pod reaches itself"
        case .localNode: return "\(verdict): the pod's own node reaches it"
        case .rule(let origin): return "\(verdict) by \(origin)"
        case .isolation(let names): return "\(verdict): no rule matches and \(Self.list(names)) isolates"
        case .nothing: return "\(verdict): no policy applies"
        }
    }

    private static func list(_ names: [PolicyName]) -> String { names.map(\.description).joined(separator: ", ") }
}
