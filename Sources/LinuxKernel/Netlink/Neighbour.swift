public import Addressing

/// The hardware address behind an address of a link, or the node behind a hardware address of an overlay.
public struct Neighbour: Sendable, Hashable {
    /// Which of the kernel's tables has it.
    public enum Table: Sendable, Hashable {
        /// That of neighbours: what is behind an address.
        case addresses
        /// That of a device that forwards frames: where a hardware address is.
        case forwarding
    }

    public var table: Table
    public var interfaceIndex: UInt32
    /// Of a neighbour its own address; of an entry of a VXLAN device the other end's.
    public var address: IPAddress?
    public var hardware: MACAddress?
    /// Whether it stays until somebody removes it.
    public var isPermanent: Bool

    public init(
        _ table: Table, interfaceIndex: UInt32, address: IPAddress?, hardware: MACAddress?, isPermanent: Bool = true
    ) {
        self.table = table
        self.interfaceIndex = interfaceIndex
        self.address = address
        self.hardware = hardware
        self.isPermanent = isPermanent
    }

    /// NDA_* and NUD_PERMANENT, NTF_SELF (include/uapi/linux/neighbour.h).
    private static let addressAttribute: UInt16 = 1
    private static let hardwareAttribute: UInt16 = 2
    private static let permanent: UInt16 = 0x80
    private static let ofDevice: UInt8 = 0x2

    /// Decodes RTM_NEWNEIGH and RTM_DELNEIGH (`struct ndmsg`); nil for families other than IPv4, IPv6 and frames.
    init?(_ message: NetlinkMessage) {
        var cursor = ByteCursor(message.payload)
        guard let family = cursor.take(UInt8.self), [Family.ipv4, Family.ipv6, Family.bridge].contains(family),
            cursor.take(count: 3) != nil, let index = cursor.take(UInt32.self), let state = cursor.take(UInt16.self),
            cursor.take(count: 2) != nil
        else { return nil }
        let attributes = NetlinkAttributes(cursor.rest)
        self.init(
            family == Family.bridge ? .forwarding : .addresses, interfaceIndex: index,
            address: attributes.bytes(Self.addressAttribute).flatMap { IPAddress(bytes: $0) },
            hardware: attributes.bytes(Self.hardwareAttribute).flatMap { MACAddress(bytes: $0) },
            isPermanent: state & Self.permanent != 0)
    }

    /// The fixed part of a request.
    static func header(family: UInt8 = 0, index: UInt32 = 0, state: UInt16 = 0, flags: UInt8 = 0) -> [UInt8] {
        [family, 0, 0, 0] + NetlinkMessage.bytes(index) + NetlinkMessage.bytes(state) + [flags, 0]
    }

    /// The fixed part of a request about this one.
    var header: [UInt8] {
        switch table {
        case .addresses:
            Self.header(family: address.map { Family.of($0) } ?? 0, index: interfaceIndex, state: Self.permanent)
        case .forwarding:
            Self.header(family: Family.bridge, index: interfaceIndex, state: Self.permanent, flags: Self.ofDevice)
        }
    }

    var attributes: [(type: UInt16, bytes: [UInt8])] {
        var attributes: [(type: UInt16, bytes: [UInt8])] = []
        if let address { attributes.append((Self.addressAttribute, address.wireBytes)) }
        if let hardware { attributes.append((Self.hardwareAttribute, hardware.bytes)) }
        return attributes
    }
}
