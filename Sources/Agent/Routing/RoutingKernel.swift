internal import Addressing
internal import LinuxKernel
internal import NodeRouting

/// Routes, neighbours and forwarding entries of this namespace, of which only ours are read and changed.
struct RoutingKernel: RoutingWriter, ~Copyable {
    /// What our routes name as their maker, and their metric: of equal destinations others' usual ones win in IPv4, and
    /// lose in IPv6, and nobody else's route is changed for ours.
    static let origin = Route.Origin(rawValue: 97)
    static let priority: UInt32 = 97

    private var netlink: Netlink
    /// Destinations of others' routes with our metric: a write would change these.
    private var taken: Set<CIDR> = []

    init() throws(KernelError) { netlink = try Netlink() }

    /// What the kernel has of ours, and what others have besides.
    struct View {
        var entries: [RoutingEntry] = []
        /// The main table's routes of others, by destination.
        var others: [CIDR: Route] = [:]
    }

    mutating func look(overlay: UInt32?) throws(KernelError) -> View {
        var view = View()
        for route in try netlink.routes() where route.table == Route.mainTable && route.kind == .unicast {
            if let entry = Self.entry(route) {
                view.entries.append(entry)
            } else if view.others[route.destination].map({ route.priority < $0.priority }) ?? true {
                view.others[route.destination] = route
            }
        }
        taken = Set(view.others.values.filter { $0.priority == Self.priority }.map(\.destination))
        if let overlay { view.entries += try netlink.permanentNeighbours(ofInterface: overlay).compactMap(Self.entry) }
        return view
    }

    /// The entry that a route is; nil for those of others.
    static func entry(_ route: Route) -> RoutingEntry? {
        guard route.origin == origin, route.table == Route.mainTable, route.priority == priority,
            let index = route.interfaceIndex, let gateway = route.gateway
        else { return nil }
        return .route(
            PlannedRoute(destination: route.destination, gateway: gateway, interface: index, mtu: route.mtu))
    }

    /// What a neighbour is the entry of; one that goes does not say its hardware address any more.
    static func key(_ neighbour: Neighbour) -> RoutingEntry.Key? {
        switch neighbour.table {
        case .addresses: neighbour.address.map { .neighbour($0) }
        case .forwarding: neighbour.hardware.map { .forwarding($0) }
        }
    }

    static func entry(_ neighbour: Neighbour) -> RoutingEntry? {
        guard let address = neighbour.address, let hardware = neighbour.hardware else { return nil }
        switch neighbour.table {
        case .addresses: return .neighbour(address, hardware, interface: neighbour.interfaceIndex)
        case .forwarding: return .forwarding(hardware, address, interface: neighbour.interfaceIndex)
        }
    }

    mutating func write(_ entry: RoutingEntry) throws(KernelError) {
        switch entry {
        case .route(let planned):
            let route = Self.route(planned)
            if taken.contains(route.destination) {
                throw KernelError(
                    operation: "set route \(route.destination)", errno: .exists,
                    detail: "of somebody else with metric \(Self.priority)")
            }
            do throws(KernelError) { try netlink.replace(route) } catch  where error.errno == .invalid {
                // The way to the gateway may be the very route that is to change.
                try netlink.remove(route)
                try netlink.replace(route)
            }
        case .neighbour, .forwarding:
            try Self.neighbour(entry).map { (found) throws(KernelError) in
                try netlink.replace(found)
            }
        }
    }

    mutating func remove(_ entry: RoutingEntry) throws(KernelError) {
        if case .route(let planned) = entry { return try netlink.remove(Self.route(planned)) }
        if let neighbour = Self.neighbour(entry) { try netlink.remove(neighbour) }
    }

    private static func route(_ planned: PlannedRoute) -> Route {
        Route(
            destination: planned.destination, interfaceIndex: planned.interface, gateway: planned.gateway,
            priority: priority, origin: origin, mtu: planned.mtu)
    }

    private static func neighbour(_ entry: RoutingEntry) -> Neighbour? {
        switch entry {
        case .route: nil
        case .neighbour(let address, let hardware, let interface):
            Neighbour(.addresses, interfaceIndex: interface, address: address, hardware: hardware)
        case .forwarding(let hardware, let node, let interface):
            Neighbour(.forwarding, interfaceIndex: interface, address: node, hardware: hardware)
        }
    }

    // MARK: This node's own network

    /// What the interfaces of this node reach directly, but for the device of the overlay.
    mutating func network(without overlay: String) throws(KernelError) -> LocalNetwork {
        let interfaces = Dictionary(try netlink.interfaces().map { ($0.index, $0) }) { $1 }
        let links = try netlink.addresses().compactMap { address -> LocalNetwork.Link? in
            guard let interface = interfaces[address.interfaceIndex], interface.isUp, !interface.isLoopback,
                interface.name != overlay, address.scope == .global,
                let prefix = CIDR(address.address, length: address.prefixLength)
            else { return nil }
            return LocalNetwork.Link(
                index: interface.index, address: address.address, prefix: prefix, mtu: interface.mtu)
        }
        return LocalNetwork(links: links)
    }

    // MARK: The device

    /// The interface of a name.
    mutating func overlay(named name: String) throws(KernelError) -> PresentOverlay? {
        guard let interface = try netlink.interface(named: name) else { return nil }
        let addresses = try netlink.addresses().filter { $0.interfaceIndex == interface.index && $0.scope == .global }
        var settings: OverlaySettings?
        if let found = interface.vxlan {
            settings = OverlaySettings()
            settings?.device = interface.name
            settings?.identifier = found.identifier
            settings?.port = found.port
        }
        return PresentOverlay(
            index: interface.index, isMarked: interface.alias == OverlayDevice.mark, settings: settings,
            local: interface.vxlan?.local, learns: interface.vxlan?.learns ?? false, mtu: interface.mtu,
            hardware: interface.address, isUp: interface.isUp, addresses: Set(addresses.map(\.address)))
    }

    mutating func take(_ step: OverlayStep, _ device: OverlayDevice) throws(KernelError) {
        let name = device.settings.device
        if step == .create {
            let settings = VXLANSettings(
                identifier: device.settings.identifier, port: device.settings.port, local: device.local)
            return try netlink.addVXLAN(named: name, settings, mtu: device.mtu, address: device.hardware)
        }
        guard let index = try netlink.interface(named: name)?.index else {
            throw KernelError(operation: "look for interface", errno: .noDevice, detail: name)
        }
        switch step {
        case .create: break
        case .remove: try netlink.removeInterface(index)
        case .mark: try netlink.setInterface(index, alias: OverlayDevice.mark)
        case .setMTU(let mtu): try netlink.setInterface(index, mtu: mtu)
        case .setHardware(let hardware): try netlink.setInterface(index, address: hardware)
        case .bringUp: try netlink.setInterface(index, isUp: true)
        case .add(let address): try netlink.add(Self.address(address, index))
        case .removeAddress(let address): try netlink.remove(Self.address(address, index))
        }
    }

    private static func address(_ address: IPAddress, _ index: UInt32) -> InterfaceAddress {
        InterfaceAddress(interfaceIndex: index, address: address, prefixLength: address.isIPv4 ? 32 : 128)
    }

    /// Removes our devices of other names. Returns their names.
    mutating func removeOverlays(except name: String?) throws(KernelError) -> [String] {
        let old = try netlink.interfaces().filter {
            $0.vxlan != nil && $0.alias == OverlayDevice.mark && $0.name != name
        }
        for interface in old { try netlink.removeInterface(interface.index) }
        return old.map(\.name)
    }

    /// Removes all routes of ours. Returns their number.
    mutating func removeRoutes() throws(KernelError) -> Int {
        let routes = try look(overlay: nil).entries
        for route in routes { try remove(route) }
        return routes.count
    }
}
