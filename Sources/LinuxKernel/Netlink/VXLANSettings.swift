public import Addressing

/// What makes a VXLAN device (RFC 7348).
public struct VXLANSettings: Sendable, Hashable {
    /// The VXLAN network identifier, 24 bits.
    public var identifier: UInt32
    /// The UDP port that packets come in at.
    public var port: UInt16
    /// The address that packets come from; nil: the one that the route to the other end gives.
    public var local: IPAddress?
    /// Whether it takes from packets which node has a hardware address.
    public var learns: Bool

    public init(identifier: UInt32, port: UInt16, local: IPAddress?, learns: Bool = false) {
        self.identifier = identifier
        self.port = port
        self.local = local
        self.learns = learns
    }

    /// The name of the kind of device.
    public static let kind = "vxlan"

    /// IFLA_VXLAN_* (include/uapi/linux/if_link.h).
    private enum Attribute {
        static let identifier: UInt16 = 1
        static let localIPv4: UInt16 = 4
        static let learning: UInt16 = 7
        static let port: UInt16 = 15
        static let localIPv6: UInt16 = 17
    }

    /// Decodes IFLA_LINKINFO; nil for other kinds.
    init?(_ info: NetlinkAttributes) {
        guard info.text(LinkAttribute.infoKind) == Self.kind,
            let data = info.bytes(LinkAttribute.infoData).map({ NetlinkAttributes($0) }),
            let identifier: UInt32 = data.number(Attribute.identifier),
            let port: UInt16 = data.number(Attribute.port)
        else { return nil }
        let local = data.bytes(Attribute.localIPv4) ?? data.bytes(Attribute.localIPv6)
        self.init(
            identifier: identifier, port: UInt16(bigEndian: port), local: local.flatMap { IPAddress(bytes: $0) },
            learns: data.number(Attribute.learning, as: UInt8.self) != 0)
    }

    /// The attributes of IFLA_LINKINFO.
    var attributes: [(type: UInt16, bytes: [UInt8])] {
        var data: [(type: UInt16, bytes: [UInt8])] = [
            (Attribute.identifier, NetlinkMessage.bytes(identifier)),
            (Attribute.port, NetlinkMessage.bytes(port.bigEndian)),
            (Attribute.learning, [learns ? 1 : 0]),
        ]
        if let local { data.append((local.isIPv4 ? Attribute.localIPv4 : Attribute.localIPv6, local.wireBytes)) }
        return [
            (LinkAttribute.infoKind, Array(Self.kind.utf8)), (LinkAttribute.infoData, NetlinkMessage.nested(data)),
        ]
    }
}
