public import Addressing

/// What changes the tables of a namespace. Removing what is gone is no error.
extension Netlink {
    // MARK: Routes

    /// Makes a route over a gateway that counts as on the link, or changes the one of the same destination, table and
    /// priority, whoever made that.
    public mutating func replace(_ route: Route) throws(KernelError) {
        var attributes: [(type: UInt16, bytes: [UInt8])] = []
        if let gateway = route.gateway {
            if gateway.isIPv4 == route.destination.address.isIPv4 {
                attributes.append((RouteAttribute.gateway, gateway.wireBytes))
            } else {
                let family = NetlinkMessage.bytes(UInt16(Family.of(gateway)))
                attributes.append((RouteAttribute.via, family + gateway.wireBytes))
            }
        }
        if let source = route.preferredSource {
            attributes.append((RouteAttribute.preferredSource, source.wireBytes))
        }
        if let index = route.interfaceIndex {
            attributes.append((RouteAttribute.outInterface, NetlinkMessage.bytes(index)))
        }
        if let mtu = route.mtu {
            let metric = NetlinkMessage.nested([(RouteAttribute.mtu, NetlinkMessage.bytes(mtu))])
            attributes.append((RouteAttribute.metrics, metric))
        }
        try change(
            "set route \(route.destination)", NetlinkType.newRoute, NetlinkFlags.create | NetlinkFlags.replace,
            route.header(isOnLink: route.gateway != nil), route.identity + attributes)
    }

    /// Removes the route of a destination, table, priority and origin.
    public mutating func remove(_ route: Route) throws(KernelError) {
        try removing([.noProcess, .noEntry]) { (netlink) throws(KernelError) in
            try netlink.change(
                "remove route \(route.destination)", NetlinkType.deleteRoute, 0, route.header(isOnLink: false),
                route.identity)
        }
    }

    // MARK: Neighbours

    /// The permanent entries of an interface.
    public mutating func permanentNeighbours(ofInterface index: UInt32) throws(KernelError) -> [Neighbour] {
        var found: [Neighbour] = []
        for family in [UInt8(0), Family.bridge] {
            found += try socket.ask(
                "list neighbours", type: NetlinkType.getNeighbour, flags: NetlinkFlags.dump,
                fixed: Neighbour.header(family: family)
            ).compactMap { Neighbour($0) }
        }
        return found.filter { $0.interfaceIndex == index && $0.isPermanent }
    }

    /// Makes an entry, or changes the one of the same address or, in a table of frames, hardware address.
    public mutating func replace(_ neighbour: Neighbour) throws(KernelError) {
        try change(
            "set neighbour", NetlinkType.newNeighbour, NetlinkFlags.create | NetlinkFlags.replace, neighbour.header,
            neighbour.attributes)
    }

    public mutating func remove(_ neighbour: Neighbour) throws(KernelError) {
        try removing([.noEntry, .noDevice]) { (netlink) throws(KernelError) in
            try netlink.change(
                "remove neighbour", NetlinkType.deleteNeighbour, 0, neighbour.header, neighbour.attributes)
        }
    }

    // MARK: Interfaces

    /// Makes a VXLAN device that is down.
    public mutating func addVXLAN(
        named name: String, _ settings: VXLANSettings, mtu: UInt32, address: MACAddress
    ) throws(KernelError) {
        try change(
            "make interface \(name)", NetlinkType.newLink, NetlinkFlags.create | NetlinkFlags.exclusive,
            NetworkInterface.header(),
            [
                (LinkAttribute.name, Array(name.utf8) + [0]), (LinkAttribute.mtu, NetlinkMessage.bytes(mtu)),
                (LinkAttribute.address, address.bytes),
                (LinkAttribute.info, NetlinkMessage.nested(settings.attributes)),
            ])
    }

    /// Changes an interface; nil leaves a property as it is.
    public mutating func setInterface(
        _ index: UInt32, mtu: UInt32? = nil, address: MACAddress? = nil, alias: String? = nil, isUp: Bool? = nil
    ) throws(KernelError) {
        var attributes: [(type: UInt16, bytes: [UInt8])] = []
        if let mtu { attributes.append((LinkAttribute.mtu, NetlinkMessage.bytes(mtu))) }
        if let address { attributes.append((LinkAttribute.address, address.bytes)) }
        if let alias { attributes.append((LinkAttribute.alias, Array(alias.utf8))) }
        // IFF_UP, and that it alone changes.
        let flags =
            NetlinkMessage.bytes(UInt32(isUp == true ? 1 : 0)) + NetlinkMessage.bytes(UInt32(isUp == nil ? 0 : 1))
        try change(
            "set interface \(index)", NetlinkType.newLink, 0,
            [0, 0, 0, 0] + NetlinkMessage.bytes(index) + flags, attributes)
    }

    public mutating func removeInterface(_ index: UInt32) throws(KernelError) {
        try removing([.noDevice]) { (netlink) throws(KernelError) in
            try netlink.change(
                "remove interface \(index)", NetlinkType.deleteLink, 0, NetworkInterface.header(index: index), [])
        }
    }

    // MARK: Addresses

    /// Gives an interface an address, which is not looked for elsewhere first.
    public mutating func add(_ address: InterfaceAddress) throws(KernelError) {
        do throws(KernelError) {
            try change(
                "add address \(address.address)", NetlinkType.newAddress,
                NetlinkFlags.create | NetlinkFlags.exclusive, address.header, address.attributes)
        } catch  where error.errno == .exists {
            return
        }
    }

    public mutating func remove(_ address: InterfaceAddress) throws(KernelError) {
        try removing([.addressNotAvailable, .noDevice]) { (netlink) throws(KernelError) in
            try netlink.change(
                "remove address \(address.address)", NetlinkType.deleteAddress, 0, address.header, address.attributes)
        }
    }

    private mutating func change(
        _ operation: String, _ type: UInt16, _ flags: UInt16, _ fixed: [UInt8],
        _ attributes: [(type: UInt16, bytes: [UInt8])]
    ) throws(KernelError) {
        _ = try socket.ask(
            operation, type: type, flags: flags | NetlinkFlags.acknowledge, fixed: fixed, attributes: attributes)
    }

    private mutating func removing(
        _ gone: [Errno], _ body: (inout Netlink) throws(KernelError) -> Void
    ) throws(KernelError) {
        do throws(KernelError) { try body(&self) } catch  where gone.contains(error.errno) {
            return
        }
    }
}

extension Route {
    /// RTNH_F_ONLINK: the gateway counts as on the link.
    private static let onLinkFlag: UInt32 = 4

    /// The fixed part of a request about this route (`struct rtmsg`).
    fileprivate func header(isOnLink: Bool) -> [UInt8] {
        [
            Family.of(destination.address), UInt8(destination.length), 0, 0, table < 256 ? UInt8(table) : 0,
            origin.rawValue, 0, kind.rawValue,
        ] + NetlinkMessage.bytes(isOnLink ? Self.onLinkFlag : 0)
    }

    /// What tells it from other routes.
    fileprivate var identity: [(type: UInt16, bytes: [UInt8])] {
        [
            (RouteAttribute.destination, destination.address.wireBytes),
            (RouteAttribute.table, NetlinkMessage.bytes(table)),
            (RouteAttribute.priority, NetlinkMessage.bytes(priority)),
        ]
    }
}

extension InterfaceAddress {
    /// IFA_F_NODAD.
    private static let undoubted: UInt8 = 2

    /// The fixed part of a request about this address (`struct ifaddrmsg`).
    fileprivate var header: [UInt8] {
        [Family.of(address), UInt8(prefixLength), address.isIPv4 ? 0 : Self.undoubted, scope.rawValue]
            + NetlinkMessage.bytes(interfaceIndex)
    }

    fileprivate var attributes: [(type: UInt16, bytes: [UInt8])] {
        [(Self.localAttribute, address.wireBytes), (Self.addressAttribute, address.wireBytes)]
    }
}
