public import Addressing

/// A route to pods of another node.
public struct PlannedRoute: Sendable, Hashable {
    public var destination: CIDR
    /// The next hop. It counts as on the link, whatever other routes say.
    public var gateway: IPAddress
    /// The number of the interface.
    public var interface: UInt32
    /// The largest packet, where that is less than what the interface takes.
    public var mtu: UInt32?

    public init(destination: CIDR, gateway: IPAddress, interface: UInt32, mtu: UInt32? = nil) {
        self.destination = destination
        self.gateway = gateway
        self.interface = interface
        self.mtu = mtu
    }
}

/// One entry of the kernel's tables that makes packets find another node.
public enum RoutingEntry: Sendable, Hashable {
    case route(PlannedRoute)
    /// The hardware address behind a gateway.
    case neighbour(IPAddress, MACAddress, interface: UInt32)
    /// The node that has a hardware address.
    case forwarding(MACAddress, IPAddress, interface: UInt32)

    /// What there can be one entry for.
    public enum Key: Sendable, Hashable {
        case route(CIDR)
        case neighbour(IPAddress)
        case forwarding(MACAddress)
    }

    public var key: Key {
        switch self {
        case .route(let route): .route(route.destination)
        case .neighbour(let address, _, _): .neighbour(address)
        case .forwarding(let hardware, _, _): .forwarding(hardware)
        }
    }
}

extension RoutingEntry.Key: Comparable, CustomStringConvertible {
    /// The order of writing: where a packet goes is known before a route leads it there.
    var rank: Int {
        switch self {
        case .forwarding: 0
        case .neighbour: 1
        case .route: 2
        }
    }

    public static func < (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.route(let left), .route(let right)): left < right
        case (.neighbour(let left), .neighbour(let right)): left < right
        case (.forwarding(let left), .forwarding(let right)): left.bits < right.bits
        default: left.rank < right.rank
        }
    }

    public var description: String {
        switch self {
        case .route(let destination): "route \(destination)"
        case .neighbour(let address): "neighbour \(address)"
        case .forwarding(let hardware): "forwarding \(hardware)"
        }
    }
}

extension RoutingEntry: CustomStringConvertible {
    public var description: String {
        switch self {
        case .route(let route):
            "\(key) via \(route.gateway) interface \(route.interface)" + (route.mtu.map { " mtu \($0)" } ?? "")
        case .neighbour(_, let hardware, let interface): "\(key) at \(hardware) interface \(interface)"
        case .forwarding(_, let node, let interface): "\(key) to \(node) interface \(interface)"
        }
    }
}
