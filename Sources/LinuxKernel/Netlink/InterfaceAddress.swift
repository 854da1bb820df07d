public import Addressing

/// An address of an interface.
public struct InterfaceAddress: Sendable, Hashable {
    /// How far an address is valid (RT_SCOPE_*).
    public struct Scope: RawRepresentable, Sendable, Hashable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let global = Scope(rawValue: 0)
        public static let link = Scope(rawValue: 253)
        public static let host = Scope(rawValue: 254)
    }

    public var interfaceIndex: UInt32
    public var address: IPAddress
    /// The length of the prefix that the interface reaches directly.
    public var prefixLength: Int
    public var scope: Scope
    /// Whether another host may turn out to have it, or has it already (duplicate address detection, RFC 4862).
    public var isTentative: Bool

    public init(
        interfaceIndex: UInt32, address: IPAddress, prefixLength: Int, scope: Scope = .global,
        isTentative: Bool = false
    ) {
        self.interfaceIndex = interfaceIndex
        self.address = address
        self.prefixLength = prefixLength
        self.scope = scope
        self.isTentative = isTentative
    }
}

extension InterfaceAddress {
    /// IFA_ADDRESS and IFA_LOCAL: on a point-to-point interface the first is the other end's.
    static let addressAttribute: UInt16 = 1
    static let localAttribute: UInt16 = 2
    /// IFA_F_DADFAILED and IFA_F_TENTATIVE; both are in the header's eight bits of flags.
    private static let tentativeFlags: UInt8 = 0x08 | 0x40

    /// Decodes RTM_NEWADDR and RTM_DELADDR (`struct ifaddrmsg`); nil for families other than IPv4 and IPv6.
    init?(_ message: NetlinkMessage) {
        var cursor = ByteCursor(message.payload)
        guard let family = cursor.take(UInt8.self), family == Family.ipv4 || family == Family.ipv6,
            let length = cursor.take(UInt8.self), let flags = cursor.take(UInt8.self),
            let scope = cursor.take(UInt8.self), let index = cursor.take(UInt32.self)
        else { return nil }
        let attributes = NetlinkAttributes(cursor.rest)
        guard let bytes = attributes.bytes(Self.localAttribute) ?? attributes.bytes(Self.addressAttribute),
            let address = IPAddress(bytes: bytes)
        else { return nil }
        self.init(
            interfaceIndex: index, address: address, prefixLength: Int(length), scope: Scope(rawValue: scope),
            isTentative: flags & Self.tentativeFlags != 0)
    }
}
