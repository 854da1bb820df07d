public import Addressing

/// Asks the kernel about interfaces, addresses and routes of one network namespace (rtnetlink(7)).
///
/// Calls block for the time the kernel takes, microseconds to a few milliseconds for large tables.
public struct Netlink: ~Copyable, Sendable {
    var socket: NetlinkSocket

    /// Asks about the namespace of this process.
    public init() throws(KernelError) {
        socket = try NetlinkSocket()
    }

    /// Asks about the namespace at a path, for example `/run/netns/NAME`.
    public init(inNamespaceAt path: String) throws(KernelError) {
        socket = try NetlinkSocket(namespace: path)
    }

    /// All interfaces.
    public mutating func interfaces() throws(KernelError) -> [NetworkInterface] {
        try socket.ask(
            "list interfaces", type: NetlinkType.getLink, flags: NetlinkFlags.dump, fixed: NetworkInterface.header()
        ).compactMap { NetworkInterface($0) }
    }

    /// The interface with a number, nil when there is none.
    public mutating func interface(index: UInt32) throws(KernelError) -> NetworkInterface? {
        try interface(index: index, attributes: [])
    }

    /// The interface with a name, nil when there is none.
    public mutating func interface(named name: String) throws(KernelError) -> NetworkInterface? {
        // IFNAMSIZ: a longer name can't exist, and the kernel calls it invalid instead of missing.
        guard (1...15).contains(name.utf8.count) else { return nil }
        return try interface(index: 0, attributes: [(LinkAttribute.name, Array(name.utf8) + [0])])
    }

    /// The Ethernet address of the other end of a veth, wherever that is; nil when the interface has no such end.
    ///
    /// Both ends are asked through this namespace (IFLA_TARGET_NETNSID), so nothing enters the other one.
    public mutating func peerAddress(ofInterface index: UInt32) throws(KernelError) -> MACAddress? {
        guard let near = try interface(index: index), near.kind == "veth", let peer = near.peerIndex else { return nil }
        guard let namespace = near.peerNamespace else { return try interface(index: peer)?.address }
        var bytes: [UInt8] = []
        NetlinkMessage.append(namespace, to: &bytes)
        return try interface(index: peer, attributes: [(LinkAttribute.targetNamespace, bytes)])?.address
    }

    /// All addresses of all interfaces.
    public mutating func addresses() throws(KernelError) -> [InterfaceAddress] {
        try socket.ask(
            "list addresses", type: NetlinkType.getAddress, flags: NetlinkFlags.dump,
            fixed: [UInt8](repeating: 0, count: 8)
        ).compactMap { InterfaceAddress($0) }
    }

    /// All routes of all tables.
    public mutating func routes() throws(KernelError) -> [Route] {
        try socket.ask(
            "list routes", type: NetlinkType.getRoute, flags: NetlinkFlags.dump, fixed: Route.header()
        ).compactMap { Route($0) }
    }

    /// The route that a packet to an address takes; nil when the address can't be reached.
    public mutating func route(to address: IPAddress) throws(KernelError) -> Route? {
        try lookUpRoute(to: address, matches: false)
    }

    /// The entry of a routing table by which packets to an address go; nil when there is none.
    public mutating func tableEntry(for address: IPAddress) throws(KernelError) -> Route? {
        try lookUpRoute(to: address, matches: true)
    }

    private mutating func lookUpRoute(to address: IPAddress, matches: Bool) throws(KernelError) -> Route? {
        let (family, bits): (UInt8, UInt8) = address.isIPv4 ? (Family.ipv4, 32) : (Family.ipv6, 128)
        do throws(KernelError) {
            let answer = try socket.ask(
                "look up route to \(address)", type: NetlinkType.getRoute,
                fixed: Route.header(family: family, destinationLength: bits, matches: matches),
                attributes: [Route.destinationAttribute(address)])
            return answer.first.flatMap { Route($0, keepCloned: true) }
        } catch  where Self.unreachable.contains(error.errno) {
            return nil
        }
    }

    /// What the kernel answers for unreachable, prohibited and blackholed addresses.
    private static let unreachable: [Errno] = [.networkUnreachable, .hostUnreachable, .accessDenied, .invalid]

    private mutating func interface(
        index: UInt32, attributes: [(type: UInt16, bytes: [UInt8])]
    ) throws(KernelError) -> NetworkInterface? {
        do throws(KernelError) {
            return try socket.ask(
                "get interface", type: NetlinkType.getLink, fixed: NetworkInterface.header(index: index),
                attributes: attributes
            ).first.flatMap { NetworkInterface($0) }
        } catch  where error.errno == .noDevice {
            return nil
        }
    }
}
