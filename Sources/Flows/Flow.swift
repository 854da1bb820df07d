public import Addressing

/// One event of the data path with the names of those who took part.
///
/// A value of fixed size apart from shared text; the decoder fills in addresses and rules, ``PeerDirectory`` the names.
public struct Flow: Sendable, Equatable {
    /// What happened.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// A connection was admitted and its first packet passed.
        case opened
        /// One or more packets of a connection attempt were dropped.
        case denied
        /// One or more openings of a connection passed that a policy in audit mode would have denied.
        case audited
        /// A connection ended; its counters are final.
        case closed
        /// A long-lived connection is still in use; its counters are those so far.
        case active
        /// A packet of an open connection passed, where each is asked for; its counters are of it alone.
        case packet
        /// A resolver answered a question of a pod, or did not; ``Flow/dns`` says what.
        case dns
        /// Records are missing here; ``Flow/loss`` says how many and where they were lost.
        case lost
    }

    /// What the data path did with the packets.
    public enum Verdict: String, Sendable, Codable, CaseIterable {
        case forwarded, dropped
        /// Forwarded, but a policy in audit mode would have dropped them.
        case audit
    }

    /// The direction as seen from the pod whose hook made the record.
    public enum Direction: String, Sendable, Codable, CaseIterable {
        case ingress, egress
    }

    /// How a connection ended.
    public enum Ending: String, Sendable, Codable, CaseIterable {
        case fin, reset, timeout
        /// Another connection with the same addresses and ports took its place.
        case replaced
    }

    /// The number of this record in the store that holds it; 0 before it is stored.
    public var sequence: UInt64 = 0
    /// When it happened, in nanoseconds since 1970-01-01T00:00:00Z.
    public var time: UInt64
    public var kind: Kind
    public var verdict: Verdict
    public var direction: Direction
    /// The ends of the connection, the opener as source, after service translation.
    public var tuple: FlowTuple
    /// The numbers that the data path has for the ends that are pods of this node; 0: an end is none, or nobody says.
    public var sourceNumber: UInt32 = 0
    public var destinationNumber: UInt32 = 0
    /// The Service that the client asked for, where one was translated.
    public var service: FlowService?
    public var source: Peer
    public var destination: Peer
    /// Why packets were dropped, or would have been without audit mode, as the data path labels it.
    public var dropReason: String?
    /// The rule that decided at the source pod.
    public var egressRule: RuleReference?
    /// The rule that decided at the destination pod.
    public var ingressRule: RuleReference?
    public var counters: FlowCounters?
    /// How long the connection has lasted, in nanoseconds.
    public var duration: UInt64?
    public var ending: Ending?
    /// The TCP flags seen.
    public var tcpFlags: TCPFlags?
    public var icmp: ICMPMessage?
    /// Nanoseconds from a connection's first packet of TCP to the one that ended the handshake; nil where it is not known,
    /// as when a part of it was sent twice.
    public var handshake: UInt64?
    /// Segments that sockets of this node sent again; nil: none.
    public var retransmissions: FlowRetransmissions?
    /// The names under which the source's policy holds the destination's address, the one that ends last first.
    public var destinationNames: [String] = []
    /// What was asked and answered, on a record of kind `dns`.
    public var dns: DNSAnswer?
    /// How many events the record stands for: attempts of a repeated denial or audit, 1 otherwise.
    public var count: UInt64 = 1
    /// The node that saw it.
    public var node: String
    /// What is missing, on a record of kind `lost`.
    public var loss: FlowLoss?

    /// A record with the parts that each kind has; peers start as the bare addresses.
    public init(
        time: UInt64, kind: Kind, verdict: Verdict, direction: Direction, tuple: FlowTuple, node: String
    ) {
        self.time = time
        self.kind = kind
        self.verdict = verdict
        self.direction = direction
        self.tuple = tuple
        self.node = node
        source = Peer(address: tuple.source.address)
        destination = Peer(address: tuple.destination.address)
    }

    /// A record that says that `count` records are missing.
    public static func lost(_ count: UInt64, by source: FlowLoss.Source, time: UInt64, node: String) -> Flow {
        let nowhere = SocketAddress(.unspecifiedIPv6, 0)
        let tuple = FlowTuple(source: nowhere, destination: nowhere, ipProtocol: IPProtocol(rawValue: 0))
        var flow = Flow(
            time: time, kind: .lost, verdict: .forwarded, direction: .ingress, tuple: tuple, node: node)
        flow.count = count
        flow.loss = FlowLoss(source: source, count: count)
        return flow
    }
}

/// The Service address that a client asked for, and the Service's name when it is known.
public struct FlowService: Sendable, Hashable {
    public var frontend: SocketAddress
    public var namespace: String?
    public var name: String?
    public var portName: String?

    public init(
        frontend: SocketAddress, namespace: String? = nil, name: String? = nil, portName: String? = nil
    ) {
        self.frontend = frontend
        self.namespace = namespace
        self.name = name
        self.portName = portName
    }
}

/// Packets and bytes each way.
public struct FlowCounters: Sendable, Hashable, Codable {
    /// Packets and bytes in one direction.
    public struct Way: Sendable, Hashable, Codable {
        public var packets: UInt64
        public var bytes: UInt64

        public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
            self.packets = packets
            self.bytes = bytes
        }
    }

    /// From the opener.
    public var forward: Way
    /// To the opener.
    public var reverse: Way

    public init(forward: Way = Way(), reverse: Way = Way()) {
        self.forward = forward
        self.reverse = reverse
    }
}

/// How many segments of TCP were sent again, as far as their sockets are on this node; 65535 stands for more.
public struct FlowRetransmissions: Sendable, Hashable, Codable {
    /// By the opener.
    public var forward: UInt64
    /// By the other end.
    public var reverse: UInt64

    public init(forward: UInt64 = 0, reverse: UInt64 = 0) {
        self.forward = forward
        self.reverse = reverse
    }
}

/// The type and code of an ICMP or ICMPv6 message.
public struct ICMPMessage: Sendable, Hashable, Codable {
    public var type: UInt8
    public var code: UInt8

    public init(type: UInt8, code: UInt8) {
        self.type = type
        self.code = code
    }
}

/// How many records are missing and where they went missing.
public struct FlowLoss: Sendable, Hashable, Codable {
    /// Where they went missing.
    public enum Source: String, Sendable, Codable, CaseIterable {
        case kernelRing = "kernel_ring"
        /// The agent could not read them, or had no room for them.
        case collector
        case store
        case follower
    }

    public var source: Source
    public var count: UInt64

    public init(source: Source, count: UInt64) {
        self.source = source
        self.count = count
    }
}
