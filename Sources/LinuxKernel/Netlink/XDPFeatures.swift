/// What a driver can do with programs of XDP (`enum netdev_xdp_act` of include/uapi/linux/netdev.h; Linux 6.3).
public struct XDPFeatures: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// It runs programs, which can pass, drop and return frames.
    public static let basic = XDPFeatures(rawValue: 1)
    /// They can redirect frames.
    public static let redirect = XDPFeatures(rawValue: 2)
    /// It takes frames that were redirected to it.
    public static let transmit = XDPFeatures(rawValue: 4)
}

extension XDPFeatures {
    /// Numbers of include/uapi/linux/genetlink.h and netdev.h.
    private enum Generic {
        static let controller: UInt16 = 0x10
        static let getFamily: UInt8 = 3
        static let familyID: UInt16 = 1
        static let familyName: UInt16 = 2
        static let getDevice: UInt8 = 1
        static let deviceIndex: UInt16 = 1
        static let deviceFeatures: UInt16 = 3
    }

    /// Asks the driver of an interface of this thread's network namespace.
    public static func of(interface index: UInt32) throws(KernelError) -> XDPFeatures {
        var socket = try NetlinkSocket.generic()
        let family = try ask(
            &socket, type: Generic.controller, command: Generic.getFamily,
            (Generic.familyName, Array("netdev".utf8) + [0]))
        guard let number = family?.number(Generic.familyID, as: UInt16.self) else { return [] }
        let device = try ask(
            &socket, type: number, command: Generic.getDevice,
            (Generic.deviceIndex, NetlinkMessage.bytes(index)))
        return XDPFeatures(rawValue: device?.number(Generic.deviceFeatures) ?? 0)
    }

    /// One question; its fixed part is a `struct genlmsghdr`, as is that of the answer.
    private static func ask(
        _ socket: inout NetlinkSocket, type: UInt16, command: UInt8, _ attribute: (type: UInt16, bytes: [UInt8])
    ) throws(KernelError) -> NetlinkAttributes? {
        let answer = try socket.ask(
            "ask for XDP features", type: type, fixed: [command, 1, 0, 0], attributes: [attribute])
        return answer.first.map { NetlinkAttributes($0.payload.dropFirst(4)) }
    }
}
