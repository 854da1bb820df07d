public import Addressing

/// A VXLAN device that there is.
public struct PresentOverlay: Sendable, Hashable {
    public var index: UInt32
    /// Whether it is marked as made by Apus.
    public var isMarked: Bool
    /// What it is set to; nil where it is no VXLAN device.
    public var settings: OverlaySettings?
    public var local: IPAddress?
    public var learns: Bool
    public var mtu: UInt32
    public var hardware: MACAddress?
    public var isUp: Bool
    /// Its addresses but for those of the link alone.
    public var addresses: Set<IPAddress>

    public init(
        index: UInt32, isMarked: Bool, settings: OverlaySettings?, local: IPAddress?, learns: Bool, mtu: UInt32,
        hardware: MACAddress?, isUp: Bool, addresses: Set<IPAddress>
    ) {
        self.index = index
        self.isMarked = isMarked
        self.settings = settings
        self.local = local
        self.learns = learns
        self.mtu = mtu
        self.hardware = hardware
        self.isUp = isUp
        self.addresses = addresses
    }
}

/// What brings the device to what it should be.
public enum OverlayStep: Sendable, Hashable {
    case remove
    case create
    /// Notes on the device whose it is.
    case mark
    case setMTU(UInt32)
    case setHardware(MACAddress)
    case add(IPAddress)
    case removeAddress(IPAddress)
    case bringUp
}

/// An interface of somebody else has the name of the device.
public struct ForeignInterface: Error, Sendable, Hashable, CustomStringConvertible {
    public var name: String

    public init(name: String) { self.name = name }

    public var description: String {
        "interface \(name) is there and was not made by Apus: name another with --vxlan-device"
    }
}

extension OverlayDevice {
    /// The steps from what there is under the device's name, in order.
    ///
    /// One that was made and not marked yet, by an agent that died just then, is taken over where it is what is wanted.
    /// What the kernel does not change of a device that is there takes a new one.
    public func steps(from present: PresentOverlay?) throws(ForeignInterface) -> [OverlayStep] {
        guard let present else { return creation }
        let isSame = present.settings == settings && present.local == local && !present.learns
        guard present.isMarked || isSame else { throw ForeignInterface(name: settings.device) }
        guard isSame else { return [.remove] + creation }
        var steps: [OverlayStep] = present.isMarked ? [] : [.mark]
        if present.mtu != mtu { steps.append(.setMTU(mtu)) }
        if present.hardware != hardware { steps.append(.setHardware(hardware)) }
        // Up first: the kernel takes no address of IPv6 on a link that is down for good.
        if !present.isUp { steps.append(.bringUp) }
        steps += addresses.filter { !present.addresses.contains($0) }.map { .add($0) }
        return steps + present.addresses.subtracting(addresses).sorted().map { .removeAddress($0) }
    }

    private var creation: [OverlayStep] { [.create, .mark, .bringUp] + addresses.map { .add($0) } }
}
