public import Addressing

/// What is set of the VXLAN device (RFC 7348) from outside. All nodes of a cluster need the same number and port.
public struct OverlaySettings: Sendable, Hashable {
    /// The name of the device.
    public var device = "apus-vxlan"
    /// The VXLAN network identifier, 24 bits.
    public var identifier: UInt32 = 97
    /// The UDP port that the nodes hear packets at.
    public var port: UInt16 = 4789

    public init() {}

    /// What carrying a packet takes: IP, UDP and VXLAN headers, and the Ethernet header of what is carried.
    public static func overhead(underIPv4: Bool) -> UInt32 { underIPv4 ? 20 + 8 + 8 + 14 : 40 + 8 + 8 + 14 }
}

/// The VXLAN device that this node should have.
public struct OverlayDevice: Sendable, Hashable {
    /// The note on a device that says whose it is.
    public static let mark = "Apus: pods of other nodes"

    public var settings: OverlaySettings
    /// The address of this node that packets between nodes come from.
    public var local: IPAddress
    public var mtu: UInt32
    public var hardware: MACAddress
    /// What the node's own packets come from; the first address of each of its ranges, which no pod gets.
    public var addresses: [IPAddress]

    public init(
        settings: OverlaySettings, local: IPAddress, mtu: UInt32, hardware: MACAddress, addresses: [IPAddress]
    ) {
        self.settings = settings
        self.local = local
        self.mtu = mtu
        self.hardware = hardware
        self.addresses = addresses
    }

    /// The hardware address of the device of the node with an address: every node finds it out by itself.
    ///
    /// Both kinds are locally administered. An IPv4 address is in it as it is; of an IPv6 address it has 40 bits of a
    /// hash (FNV-1a), and two nodes that come to share one are told of.
    public static func hardware(of node: IPAddress) -> MACAddress {
        if node.isIPv4 { return MACAddress(bits: 0x0261_0000_0000 | node.low & 0xffff_ffff) }
        let hash = node.bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return MACAddress(bits: 0x0600_0000_0000 | (hash ^ hash >> 40) & 0xff_ffff_ffff)
    }

    /// The device that a node should have.
    ///
    /// - Throws: why it can't have one.
    static func planned(
        for own: RoutedNode, _ network: LocalNetwork, _ settings: OverlaySettings
    ) throws(RoutingProblem) -> OverlayDevice {
        guard let local = own.addresses.first else {
            throw RoutingProblem(
                node: own.name, field: "status.addresses",
                message: "has no InternalIP for packets between nodes to come from")
        }
        guard let link = network.link(with: local) else {
            throw RoutingProblem(
                node: own.name, field: "status.addresses",
                message: "\(local) is an address of no interface of this node")
        }
        guard !own.ranges.isEmpty else {
            throw RoutingProblem(
                node: own.name, field: "spec.podCIDRs", message: "has no range of pods to route between")
        }
        let overhead = OverlaySettings.overhead(underIPv4: local.isIPv4)
        return OverlayDevice(
            settings: settings, local: local, mtu: link.mtu - min(overhead, link.mtu), hardware: hardware(of: local),
            addresses: own.ranges.map(\.address))
    }
}
