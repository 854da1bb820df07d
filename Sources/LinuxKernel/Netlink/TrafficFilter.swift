/// A classifier of the traffic control layer on an interface (tc(8), clsact).
public struct TrafficFilter: Sendable, Hashable {
    /// Whether it sees what the interface receives; otherwise what goes out.
    public let isIngress: Bool
    /// The kind of classifier: `bpf`, `flower`, `u32`.
    public let kind: String
    /// The name that a BPF classifier was given; nil for others.
    public let name: String?

    /// The classifiers on an interface of this process's network namespace.
    public static func list(onInterface index: UInt32) throws(KernelError) -> [TrafficFilter] {
        var socket = try NetlinkSocket()
        return try list(&socket, index, isIngress: true) + list(&socket, index, isIngress: false)
    }

    /// TC_H_CLSACT with TC_H_MIN_INGRESS or TC_H_MIN_EGRESS (include/uapi/linux/pkt_sched.h).
    private static func parent(isIngress: Bool) -> UInt32 { isIngress ? 0xffff_fff2 : 0xffff_fff3 }

    private static func list(
        _ socket: inout NetlinkSocket, _ index: UInt32, isIngress: Bool
    ) throws(KernelError) -> [TrafficFilter] {
        // struct tcmsg: family and padding, interface, handle, parent, info.
        var fixed = [UInt8](repeating: 0, count: 4)
        for field in [index, 0, parent(isIngress: isIngress), 0] { NetlinkMessage.append(field, to: &fixed) }
        return try socket.ask(
            "list traffic filters", type: TrafficControl.getFilter, flags: NetlinkFlags.dump, fixed: fixed
        ).compactMap { TrafficFilter($0, isIngress: isIngress) }
    }

    /// Decodes RTM_NEWTFILTER; nil for the head of a priority, which has handle 0 and is no filter.
    private init?(_ message: NetlinkMessage, isIngress: Bool) {
        var cursor = ByteCursor(message.payload)
        guard message.type == TrafficControl.newFilter, cursor.take(count: 8) != nil,
            let handle = cursor.take(UInt32.self), handle != 0, cursor.take(count: 8) != nil
        else { return nil }
        let attributes = NetlinkAttributes(cursor.rest)
        guard let kind = attributes.text(TrafficControl.kind) else { return nil }
        self.isIngress = isIngress
        self.kind = kind
        name =
            kind == "bpf"
            ? attributes.bytes(TrafficControl.options).flatMap { NetlinkAttributes($0).text(TrafficControl.bpfName) }
            : nil
    }
}

/// Messages and attributes of the traffic control layer (include/uapi/linux/rtnetlink.h, pkt_cls.h).
private enum TrafficControl {
    static let newFilter: UInt16 = 44
    static let getFilter: UInt16 = 46
    static let kind: UInt16 = 1
    static let options: UInt16 = 2
    static let bpfName: UInt16 = 7
}
