public import Addressing

/// Where a connection is in its life.
public enum ConnectionState: String, Sendable, Hashable, CaseIterable {
    /// The other end has not answered yet.
    case halfOpen = "half-open"
    case established
    /// One end of TCP has sent FIN.
    case closing
    /// Both ends finished or one reset it; the entry only waits for stragglers.
    case closed
}

extension ConnectionState: CustomStringConvertible {
    public var description: String { rawValue }
}

/// One end of a connection.
public struct ConnectionSide: Sendable, Hashable {
    /// What it sent.
    public var sent: TrafficCount
    /// The pod of this node that it is, if it is one.
    public var endpoint: EndpointReference?
    /// The pod's policy generation when the connection was judged last.
    public var generation: UInt32
    /// What judged it: the opener's egress or the other end's ingress; nil where no policy applied.
    public var decision: PolicyDecision?
    /// Every TCP flag that it sent, as the header's byte.
    public var tcpFlags: UInt8
    /// Segments that its socket sent again, where that is on this node; 65535 stands for more.
    public var retransmissions: UInt16

    public init(
        sent: TrafficCount = TrafficCount(), endpoint: EndpointReference? = nil, generation: UInt32 = 0,
        decision: PolicyDecision? = nil, tcpFlags: UInt8 = 0, retransmissions: UInt16 = 0
    ) {
        self.sent = sent
        self.endpoint = endpoint
        self.generation = generation
        self.decision = decision
        self.tcpFlags = tcpFlags
        self.retransmissions = retransmissions
    }
}

/// One entry of `connections` or `half_open`.
public struct ConnectionRecord: Sendable, Hashable {
    /// The ends; the one that opened is the source.
    public var tuple: FlowTuple
    /// The Service address that was asked for, if one was.
    public var frontend: SocketAddress?
    /// When it was opened, in nanoseconds of the monotonic clock.
    public var openedAt: UInt64
    /// When its last packet passed, likewise.
    public var lastSeenAt: UInt64
    /// The end that opened.
    public var source: ConnectionSide
    /// The other end.
    public var destination: ConnectionSide
    public var state: ConnectionState
    /// Whether one end reset it.
    public var isReset: Bool
    /// Whether packets are translated to the Service's backend and back one by one.
    public var isTranslated: Bool
    /// Whether the socket was translated when it connected.
    public var isSocketTranslated: Bool
    /// The ICMP message that opened it; only for ICMP and ICMPv6.
    public var icmp: ICMPTypeAndCode?
    /// Nanoseconds from the first packet of TCP to the one that ended the handshake; nil: not known.
    public var handshake: UInt64?
    /// The node's port that the other end sees instead of the opener's, with an address of the node; nil: it sees the
    /// opener. Of an echo it is the identifier.
    public var nodePort: Port?
    /// The port that the opener sends from, where the other end sees that of `tuple` instead, as its own was
    /// taken there; nil: it sees the opener's.
    public var ownPort: Port?

    public init(
        tuple: FlowTuple, frontend: SocketAddress? = nil, openedAt: UInt64, lastSeenAt: UInt64, source: ConnectionSide,
        destination: ConnectionSide, state: ConnectionState, isReset: Bool = false, isTranslated: Bool = false,
        isSocketTranslated: Bool = false, icmp: ICMPTypeAndCode? = nil, handshake: UInt64? = nil, nodePort: Port? = nil,
        ownPort: Port? = nil
    ) {
        self.tuple = tuple
        self.frontend = frontend
        self.openedAt = openedAt
        self.lastSeenAt = lastSeenAt
        self.source = source
        self.destination = destination
        self.state = state
        self.isReset = isReset
        self.isTranslated = isTranslated
        self.isSocketTranslated = isSocketTranslated
        self.icmp = icmp
        self.handshake = handshake
        self.nodePort = nodePort
        self.ownPort = ownPort
    }

    /// Nanoseconds since it was opened; 0 when that is after `now`.
    public func age(now: UInt64) -> UInt64 { now > openedAt ? now - openedAt : 0 }

    /// Nanoseconds since its last packet; 0 when that came after `now`.
    public func idle(now: UInt64) -> UInt64 { now > lastSeenAt ? now - lastSeenAt : 0 }

    /// Nanoseconds without a packet after which it has expired.
    public func timeout(_ timeouts: DatapathTimeouts) -> UInt64 {
        switch state {
        case .closed: timeouts.closing
        case .halfOpen: timeouts.halfOpen
        case .established, .closing: timeouts.answered(tuple.ipProtocol)
        }
    }

    /// How a connection ended that expires now.
    var endingWhenExpired: Ending {
        if isReset { return .reset }
        // Both ends finished, and only the last acknowledgement was never seen.
        return tuple.ipProtocol == .tcp && source.tcpFlags & destination.tcpFlags & Self.fin != 0 ? .finished : .expired
    }

    static let fin: UInt8 = 1

    /// The connection as an event, as the data path would report it.
    public func event(_ kind: EventKind, time: UInt64, ending: Ending? = nil) -> DatapathEvent {
        var event = DatapathEvent(
            kind: kind, time: time, tuple: tuple, direction: source.endpoint == nil ? .ingress : .egress)
        event.openedAt = openedAt
        event.frontend = frontend
        event.forward = source.sent
        event.reverse = destination.sent
        event.tcpFlags = source.tcpFlags | destination.tcpFlags
        event.source = source.endpoint
        event.destination = destination.endpoint
        event.egress = source.decision
        event.ingress = destination.decision
        event.ending = ending
        event.icmp = icmp
        event.handshake = handshake
        event.retransmissions = Retransmissions(
            forward: source.retransmissions, reverse: destination.retransmissions)
        return event
    }
}

extension ConnectionRecord: CustomStringConvertible {
    /// One line for dumps.
    public var description: String { "\(tuple) \(attributes)" }

    /// Everything but the tuple.
    var attributes: String {
        var parts = [state.rawValue]
        if isReset { parts.append("reset") }
        if isTranslated { parts.append("translated") }
        if isSocketTranslated { parts.append("socket-translated") }
        if let frontend { parts.append("frontend \(frontend)") }
        if let nodePort { parts.append("node-port \(nodePort)") }
        if let ownPort { parts.append("own-port \(ownPort)") }
        if let icmp { parts.append("icmp \(icmp.type)/\(icmp.code)") }
        if let handshake { parts.append("handshake \(handshake)") }
        parts.append("opened \(openedAt) seen \(lastSeenAt)")
        parts.append("source \(source)")
        parts.append("destination \(destination)")
        return parts.joined(separator: " ")
    }
}

extension ConnectionSide: CustomStringConvertible {
    public var description: String {
        var parts = ["\(sent.packets)/\(sent.bytes)"]
        if let endpoint { parts.append("endpoint \(endpoint) generation \(generation)") }
        if let decision { parts.append("by \(decision)") }
        if tcpFlags != 0 { parts.append("tcp-flags \(TCPFlagText.text(tcpFlags))") }
        if retransmissions != 0 { parts.append("retransmissions \(retransmissions)") }
        return "[" + parts.joined(separator: " ") + "]"
    }
}

extension DatapathTimeouts {
    /// The timeout of an answered connection.
    func answered(_ ipProtocol: IPProtocol) -> UInt64 {
        ipProtocol == .tcp || ipProtocol == .sctp ? established : datagram
    }
}
