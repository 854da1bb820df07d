public import Addressing

/// A network interface.
public struct NetworkInterface: Sendable, Hashable {
    /// The number of the interface in its namespace.
    public var index: UInt32
    public var name: String
    /// The Ethernet address, nil for kinds without one.
    public var address: MACAddress?
    /// The driver's name, `veth`, `bridge`, `vxlan`; nil for physical interfaces and the loopback.
    public var kind: String?
    /// Set to be up by the administrator (IFF_UP).
    public var isUp: Bool
    public var isLoopback: Bool
    public var mtu: UInt32
    /// The interface that this one is a port of.
    public var masterIndex: UInt32?
    /// The other end of a veth, the lower interface of a VLAN; in `peerNamespace` when that is set.
    public var peerIndex: UInt32?
    /// The number that this namespace knows the peer's namespace by; nil when it is this one.
    public var peerNamespace: Int32?
    /// A note that somebody left on it; nil without one.
    public var alias: String?
    /// What a VXLAN device is set to; nil for other kinds.
    public var vxlan: VXLANSettings?
    /// The program of XDP on it, of whoever attached it; nil without one.
    public var xdp: XDPProgram?

    /// A program of XDP.
    public struct XDPProgram: Sendable, Hashable {
        /// The kernel's number of the program.
        public var id: UInt32
        /// Whether it runs behind the driver, not in it.
        public var isGeneric: Bool

        public init(id: UInt32, isGeneric: Bool) {
            self.id = id
            self.isGeneric = isGeneric
        }
    }

    public init(
        index: UInt32, name: String, address: MACAddress? = nil, kind: String? = nil, isUp: Bool = true,
        isLoopback: Bool = false, mtu: UInt32 = 1500, masterIndex: UInt32? = nil, peerIndex: UInt32? = nil,
        peerNamespace: Int32? = nil, alias: String? = nil, vxlan: VXLANSettings? = nil,
        xdp: XDPProgram? = nil
    ) {
        self.index = index
        self.name = name
        self.address = address
        self.kind = kind
        self.isUp = isUp
        self.isLoopback = isLoopback
        self.mtu = mtu
        self.masterIndex = masterIndex
        self.peerIndex = peerIndex
        self.peerNamespace = peerNamespace
        self.alias = alias
        self.vxlan = vxlan
        self.xdp = xdp
    }
}

/// IFLA_* (include/uapi/linux/if_link.h).
enum LinkAttribute {
    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let mtu: UInt16 = 4
    static let link: UInt16 = 5
    static let master: UInt16 = 10
    static let info: UInt16 = 18
    static let alias: UInt16 = 20
    static let linkNamespace: UInt16 = 37
    static let xdp: UInt16 = 43
    static let targetNamespace: UInt16 = 46
    static let infoKind: UInt16 = 1
    static let infoData: UInt16 = 2
    static let xdpAttached: UInt16 = 2
    static let xdpProgram: UInt16 = 4
}

extension NetworkInterface {
    /// The fixed part of a request for interfaces (`struct ifinfomsg`).
    static func header(index: UInt32 = 0) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4)
        NetlinkMessage.append(index, to: &bytes)
        return bytes + [UInt8](repeating: 0, count: 8)
    }

    /// Decodes RTM_NEWLINK and RTM_DELLINK; nil for messages about something else, as a bridge's ports.
    init?(_ message: NetlinkMessage) {
        var cursor = ByteCursor(message.payload)
        guard let family = cursor.take(UInt8.self), family == 0, cursor.take(count: 3) != nil,
            let index = cursor.take(UInt32.self), let flags = cursor.take(UInt32.self), cursor.take(UInt32.self) != nil
        else { return nil }
        let attributes = NetlinkAttributes(cursor.rest)
        guard let name = attributes.text(LinkAttribute.name) else { return nil }
        let info = attributes.bytes(LinkAttribute.info).map { NetlinkAttributes($0) }
        self.init(
            index: index, name: name,
            address: attributes.bytes(LinkAttribute.address).flatMap { MACAddress(bytes: $0) },
            kind: info?.text(LinkAttribute.infoKind), isUp: flags & 1 != 0, isLoopback: flags & 8 != 0,
            mtu: attributes.number(LinkAttribute.mtu) ?? 0, masterIndex: attributes.number(LinkAttribute.master),
            peerIndex: attributes.number(LinkAttribute.link),
            peerNamespace: attributes.number(LinkAttribute.linkNamespace), alias: attributes.text(LinkAttribute.alias),
            vxlan: info.flatMap { VXLANSettings($0) },
            xdp: attributes.bytes(LinkAttribute.xdp).flatMap { XDPProgram(NetlinkAttributes($0)) })
    }
}

extension NetworkInterface.XDPProgram {
    /// XDP_ATTACHED_SKB of include/uapi/linux/if_link.h.
    private static let generic: UInt8 = 2

    fileprivate init?(_ attributes: NetlinkAttributes) {
        guard let attached = attributes.number(LinkAttribute.xdpAttached, as: UInt8.self), attached != 0,
            let id = attributes.number(LinkAttribute.xdpProgram, as: UInt32.self)
        else { return nil }
        self.init(id: id, isGeneric: attached == Self.generic)
    }
}
