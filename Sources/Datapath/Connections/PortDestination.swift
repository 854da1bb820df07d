public import Addressing

/// The other end of what leaves in the node's name: each has all of the node's ports for itself.
public struct PortDestination: Sendable, Hashable {
    public var ipProtocol: IPProtocol
    /// Its port is 0 for echoes.
    public var address: SocketAddress

    public init(_ ipProtocol: IPProtocol, _ address: SocketAddress) {
        self.ipProtocol = ipProtocol
        self.address = address
    }
}

extension PortDestination: Comparable {
    public static func < (left: PortDestination, right: PortDestination) -> Bool {
        (left.address.address, left.address.port, left.ipProtocol.rawValue)
            < (right.address.address, right.address.port, right.ipProtocol.rawValue)
    }
}

extension PortDestination: CustomStringConvertible {
    public var description: String { "\(ipProtocol) \(address)" }
}
