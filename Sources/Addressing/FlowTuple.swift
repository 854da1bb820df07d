/// An IP protocol by its IANA number; numbers without a name here are legal values.
public struct IPProtocol: RawRepresentable, Sendable, Hashable, Comparable {
    /// The IANA protocol number.
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let icmp = IPProtocol(rawValue: 1)
    public static let tcp = IPProtocol(rawValue: 6)
    public static let udp = IPProtocol(rawValue: 17)
    public static let icmpv6 = IPProtocol(rawValue: 58)
    public static let sctp = IPProtocol(rawValue: 132)

    /// Whether packets of the protocol carry a source and a destination port.
    public var hasPorts: Bool { self == .tcp || self == .udp || self == .sctp }

    public static func < (left: IPProtocol, right: IPProtocol) -> Bool { left.rawValue < right.rawValue }
}

extension IPProtocol: LosslessStringConvertible {
    private static let names: [(IPProtocol, String)] = [
        (.icmp, "ICMP"), (.tcp, "TCP"), (.udp, "UDP"), (.icmpv6, "ICMPv6"), (.sctp, "SCTP"),
    ]

    /// Parses a protocol name in any case, or a decimal number.
    public init?(_ text: String) {
        if let match = Self.names.first(where: { $0.1.lowercased() == text.lowercased() }) {
            self = match.0
        } else if let number = UInt8(text) {
            self.init(rawValue: number)
        } else {
            return nil
        }
    }

    /// Kubernetes' name (`TCP`, `UDP`, …), the number for any other protocol.
    public var description: String { Self.names.first { $0.0 == self }?.1 ?? String(rawValue) }
}

/// A transport port in host order.
public typealias Port = UInt16

/// One end of a flow: an address and, where the protocol has ports, a port (otherwise 0).
public struct SocketAddress: Sendable, Hashable, Comparable {
    public var address: IPAddress
    public var port: Port

    public init(_ address: IPAddress, _ port: Port) {
        self.address = address
        self.port = port
    }

    public static func < (left: SocketAddress, right: SocketAddress) -> Bool {
        (left.address, left.port) < (right.address, right.port)
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `10.0.0.1:80` or `[fd00::1]:80`; without the port when it is 0.
    public var description: String {
        if port == 0 { return "\(address)" }
        return address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}

/// The 5-tuple of a packet or a connection.
public struct FlowTuple: Sendable, Hashable {
    public var source: SocketAddress
    public var destination: SocketAddress
    public var ipProtocol: IPProtocol

    public init(source: SocketAddress, destination: SocketAddress, ipProtocol: IPProtocol) {
        self.source = source
        self.destination = destination
        self.ipProtocol = ipProtocol
    }

    /// The tuple of the answer.
    public var reversed: FlowTuple {
        FlowTuple(source: destination, destination: source, ipProtocol: ipProtocol)
    }
}

extension FlowTuple: CustomStringConvertible {
    public var description: String { "\(ipProtocol) \(source) -> \(destination)" }
}
