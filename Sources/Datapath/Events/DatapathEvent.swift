public import Addressing

/// One record of the ring buffer.
public struct DatapathEvent: Sendable, Hashable {
    public var kind: EventKind
    /// When it happened, in nanoseconds of the monotonic clock.
    public var time: UInt64
    /// When the connection was opened, in nanoseconds of the monotonic clock; nil where none exists (denied).
    public var openedAt: UInt64?
    /// The ends; the one that opened, or tried to, is the source.
    public var tuple: FlowTuple
    /// The Service address that was asked for, if one was.
    public var frontend: SocketAddress?
    /// What the source sent.
    public var forward = TrafficCount()
    /// What the destination sent.
    public var reverse = TrafficCount()
    /// The TCP flags of both ends together, as the header's byte; of the packet for a denied one and for a single one.
    public var tcpFlags: UInt8 = 0
    /// The source and destination where they are pods of this node.
    public var source: EndpointReference?
    public var destination: EndpointReference?
    /// What judged the source's egress and the destination's ingress; nil where no policy applied.
    public var egress: PolicyDecision?
    public var ingress: PolicyDecision?
    /// How many packets a denied event stands for, how many openings an audited one.
    public var count: UInt32 = 0
    /// Why packets were dropped, or would have been without audit mode; only in denied and audited events.
    public var reason: DropReason?
    /// Where a denied packet was dropped, an audited one would have been; otherwise egress when the opener is a pod of
    /// this node.
    public var direction: TrafficDirection
    /// How the connection ended; only in closed events.
    public var ending: Ending?
    /// The ICMP message that opened the connection or was denied; only for ICMP and ICMPv6.
    public var icmp: ICMPTypeAndCode?
    /// Nanoseconds from the first packet of TCP to the one that ended the handshake; nil: not known.
    public var handshake: UInt64?
    /// Segments that sockets of this node sent again.
    public var retransmissions = Retransmissions()

    /// An event with the parts that every one has.
    public init(kind: EventKind, time: UInt64, tuple: FlowTuple, direction: TrafficDirection) {
        self.kind = kind
        self.time = time
        self.tuple = tuple
        self.direction = direction
    }

    /// `time` in nanoseconds since 1970, given what to add to the monotonic clock.
    public func epochTime(offset: Int64) -> UInt64 { time.addingClockOffset(offset) }

    /// How long the connection lasted up to this event, in nanoseconds; nil where none exists.
    public var age: UInt64? { openedAt.map { time > $0 ? time - $0 : 0 } }
}

extension UInt64 {
    /// A monotonic time as real time; never traps, whatever a record says.
    func addingClockOffset(_ offset: Int64) -> UInt64 { self &+ UInt64(bitPattern: offset) }
}

extension DatapathEvent: CustomStringConvertible {
    /// One line for dumps: what happened, the tuple, and what is known about it.
    public var description: String {
        var parts = ["\(time)", kind.text, "\(tuple)"]
        if let frontend { parts.append("frontend \(frontend)") }
        if let icmp { parts.append("icmp \(icmp.type)/\(icmp.code)") }
        parts.append("\(direction.text)")
        if let reason { parts.append("reason \(reason.text) count \(count)") }
        if let ending { parts.append("ending \(ending.text)") }
        if let source { parts.append("source \(source)") }
        if let destination { parts.append("destination \(destination)") }
        if let egress { parts.append("egress \(egress)") }
        if let ingress { parts.append("ingress \(ingress)") }
        parts.append("sent \(forward.packets)/\(forward.bytes) received \(reverse.packets)/\(reverse.bytes)")
        if tcpFlags != 0 { parts.append("tcp-flags \(TCPFlagText.text(tcpFlags))") }
        if let handshake { parts.append("handshake \(handshake)") }
        if retransmissions != Retransmissions() {
            parts.append("retransmissions \(retransmissions.forward)/\(retransmissions.reverse)")
        }
        return parts.joined(separator: " ")
    }
}

/// Segments that sockets of this node sent again; 65535 stands for more.
public struct Retransmissions: Sendable, Hashable {
    /// By the source.
    public var forward: UInt16
    /// By the destination.
    public var reverse: UInt16

    public init(forward: UInt16 = 0, reverse: UInt16 = 0) {
        self.forward = forward
        self.reverse = reverse
    }
}

/// TCP flags for dumps.
enum TCPFlagText {
    private static let letters: [Character] = ["F", "S", "R", "P", "A", "U", "E", "C"]

    /// One letter for each set flag, from the lowest bit up: `FSA`.
    static func text(_ flags: UInt8) -> String {
        String(letters.enumerated().filter { flags >> UInt8($0.offset) & 1 == 1 }.map(\.element))
    }
}
