public import Addressing

/// An entry of a routing table, or the kernel's answer for one address.
public struct Route: Sendable, Hashable {
    /// What happens to packets (RTN_*).
    public struct Kind: RawRepresentable, Sendable, Hashable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let unicast = Kind(rawValue: 1)
        public static let local = Kind(rawValue: 2)
        public static let broadcast = Kind(rawValue: 3)
        public static let anycast = Kind(rawValue: 4)
        public static let multicast = Kind(rawValue: 5)
        public static let blackhole = Kind(rawValue: 6)
        public static let unreachable = Kind(rawValue: 7)
        public static let prohibit = Kind(rawValue: 8)
    }

    /// Who made a route (RTPROT_*); the kernel lets anybody claim any.
    public struct Origin: RawRepresentable, Sendable, Hashable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let unspecified = Origin(rawValue: 0)
        public static let kernel = Origin(rawValue: 2)
        public static let boot = Origin(rawValue: 3)
    }

    /// The main table's number (RT_TABLE_MAIN).
    public static let mainTable: UInt32 = 254

    /// The addresses that it leads to; `0.0.0.0/0` or `::/0` for a default route.
    public var destination: CIDR
    /// Where packets go out; of a route over several interfaces the first. Nil where packets go nowhere.
    public var interfaceIndex: UInt32?
    /// The next hop, nil when the destination is on the link.
    public var gateway: IPAddress?
    /// The address that the kernel prefers as the source of its own packets.
    public var preferredSource: IPAddress?
    public var table: UInt32
    public var kind: Kind
    /// The metric: of equal destinations the lowest wins.
    public var priority: UInt32
    public var origin: Origin
    /// The largest packet that it takes; nil: what the interface does.
    public var mtu: UInt32?
    /// Of a route with several hops, the interfaces of all but the first.
    public var furtherInterfaces: [UInt32] = []

    public init(
        destination: CIDR, interfaceIndex: UInt32?, gateway: IPAddress? = nil, preferredSource: IPAddress? = nil,
        table: UInt32 = mainTable, kind: Kind = .unicast, priority: UInt32 = 0, origin: Origin = .boot,
        mtu: UInt32? = nil
    ) {
        self.destination = destination
        self.interfaceIndex = interfaceIndex
        self.gateway = gateway
        self.preferredSource = preferredSource
        self.table = table
        self.kind = kind
        self.priority = priority
        self.origin = origin
        self.mtu = mtu
    }

    /// Whether it leads to every address of its family.
    public var isDefault: Bool { destination.length == 0 }
}

/// RTA_* (include/uapi/linux/rtnetlink.h).
enum RouteAttribute {
    static let destination: UInt16 = 1
    static let outInterface: UInt16 = 4
    static let gateway: UInt16 = 5
    static let priority: UInt16 = 6
    static let preferredSource: UInt16 = 7
    static let metrics: UInt16 = 8
    static let hops: UInt16 = 9
    static let table: UInt16 = 15
    static let via: UInt16 = 18
    /// Among the metrics (RTAX_MTU).
    static let mtu: UInt16 = 2
}

extension Route {
    /// The fixed part of a request for routes (`struct rtmsg`).
    ///
    /// - Parameter matches: ask for the table's entry that leads to an address, not for what it comes to for this one
    ///   (RTM_F_FIB_MATCH).
    static func header(family: UInt8 = 0, destinationLength: UInt8 = 0, matches: Bool = false) -> [UInt8] {
        let flags: UInt32 = matches ? 0x2000 : 0
        return [family, destinationLength] + [UInt8](repeating: 0, count: 6) + withUnsafeBytes(of: flags) { Array($0) }
    }

    /// The request's attribute for one destination.
    static func destinationAttribute(_ address: IPAddress) -> (type: UInt16, bytes: [UInt8]) {
        (RouteAttribute.destination, address.wireBytes)
    }

    /// RTM_F_CLONED: not a route but what was learned for one destination.
    private static let clonedFlag: UInt32 = 0x200

    /// Decodes RTM_NEWROUTE and RTM_DELROUTE; nil for other families and for learned exceptions in a dump.
    init?(_ message: NetlinkMessage, keepCloned: Bool = false) {
        var cursor = ByteCursor(message.payload)
        guard let family = cursor.take(UInt8.self), family == Family.ipv4 || family == Family.ipv6,
            let length = cursor.take(UInt8.self), cursor.take(count: 2) != nil,
            let shortTable = cursor.take(UInt8.self), let origin = cursor.take(UInt8.self),
            cursor.take(UInt8.self) != nil, let kind = cursor.take(UInt8.self), let flags = cursor.take(UInt32.self),
            keepCloned || flags & Self.clonedFlag == 0
        else { return nil }
        let attributes = NetlinkAttributes(cursor.rest)
        let any = family == Family.ipv4 ? IPAddress.unspecifiedIPv4 : .unspecifiedIPv6
        let address = attributes.bytes(RouteAttribute.destination).map { IPAddress(bytes: $0) } ?? any
        guard let address, let destination = CIDR(address, length: Int(length)) else { return nil }
        let hop = Self.firstHop(attributes)
        self.init(
            destination: destination, interfaceIndex: hop.index, gateway: hop.gateway,
            preferredSource: attributes.bytes(RouteAttribute.preferredSource).flatMap { IPAddress(bytes: $0) },
            table: attributes.number(RouteAttribute.table) ?? UInt32(shortTable), kind: Kind(rawValue: kind),
            priority: attributes.number(RouteAttribute.priority) ?? 0, origin: Origin(rawValue: origin),
            mtu: attributes.bytes(RouteAttribute.metrics).flatMap {
                NetlinkAttributes($0).number(RouteAttribute.mtu)
            })
        furtherInterfaces = Array(Self.hopInterfaces(attributes).dropFirst())
    }

    /// The interfaces of the hops of a route with several ones: each is a `struct rtnexthop`, as below.
    private static func hopInterfaces(_ attributes: NetlinkAttributes) -> [UInt32] {
        guard let bytes = attributes.bytes(RouteAttribute.hops) else { return [] }
        var cursor = ByteCursor(bytes)
        var indexes: [UInt32] = []
        while let length = cursor.take(UInt16.self), length >= 8, cursor.take(count: 2) != nil,
            let index = cursor.take(UInt32.self), cursor.take(count: Int(length) - 8) != nil
        {
            indexes.append(index)
        }
        return indexes
    }

    private static func firstHop(_ attributes: NetlinkAttributes) -> (index: UInt32?, gateway: IPAddress?) {
        if let index: UInt32 = attributes.number(RouteAttribute.outInterface) { return (index, gateway(attributes)) }
        // `struct rtnexthop`: length, flags, hops, interface; then attributes of its own.
        guard let bytes = attributes.bytes(RouteAttribute.hops) else { return (nil, nil) }
        var cursor = ByteCursor(bytes)
        guard let length = cursor.take(UInt16.self), cursor.take(count: 2) != nil, let index = cursor.take(UInt32.self),
            let rest = cursor.take(count: Int(length) - 8)
        else { return (nil, nil) }
        return (index, gateway(NetlinkAttributes(rest)))
    }

    /// RTA_GATEWAY, or RTA_VIA (a family, then an address) for an IPv4 route over an IPv6 neighbour.
    private static func gateway(_ attributes: NetlinkAttributes) -> IPAddress? {
        if let bytes = attributes.bytes(RouteAttribute.gateway) { return IPAddress(bytes: bytes) }
        return attributes.bytes(RouteAttribute.via).flatMap { IPAddress(bytes: $0.dropFirst(2)) }
    }
}
