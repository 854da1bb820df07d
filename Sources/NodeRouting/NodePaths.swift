internal import Addressing

/// What one Node asks for, whatever the others do.
struct NodePaths: Sendable, Hashable {
    var entries: [RoutingEntry] = []
    var problems: [RoutingProblem] = []

    /// Nothing.
    init() {}

    /// What leads to another node.
    init(to node: RoutedNode, _ view: RoutingView) {
        for range in node.ranges {
            if let reason = view.objection(to: range) {
                problems.append(RoutingProblem(node: node.name, field: "spec.podCIDRs", message: "\(range) \(reason)"))
                continue
            }
            do throws(RoutingProblem) {
                let entries =
                    switch view.mode {
                    case .native: [RoutingEntry]()
                    case .direct: [try Self.direct(range, of: node, view)]
                    case .vxlan: try Self.overlaid(range, of: node, view)
                    }
                for entry in entries where !self.entries.contains(entry) { self.entries.append(entry) }
            } catch  where !problems.contains(error) {
                problems.append(error)
            } catch {
                // Another range has met it.
            }
        }
    }

    private static func problem(_ node: RoutedNode, _ message: String) -> RoutingProblem {
        RoutingProblem(node: node.name, field: "status.addresses", message: message)
    }

    /// The node's address that packets of a family, or between nodes, go to.
    private static func address(
        of node: RoutedNode, isIPv4: Bool, _ view: RoutingView
    ) throws(RoutingProblem) -> IPAddress {
        guard let address = node.addresses.first(where: { $0.isIPv4 == isIPv4 }) else {
            throw problem(node, "has no InternalIP of \(isIPv4 ? "IPv4" : "IPv6")")
        }
        if view.network.link(with: address) != nil { throw problem(node, "\(address) is an address of this node") }
        return address
    }

    private static func direct(
        _ range: CIDR, of node: RoutedNode, _ view: RoutingView
    ) throws(RoutingProblem) -> RoutingEntry {
        let address = try address(of: node, isIPv4: range.address.isIPv4, view)
        guard let link = view.network.link(to: address) else {
            throw problem(node, "\(address) is on no link of this node: it takes a router that knows \(range)")
        }
        return .route(PlannedRoute(destination: range, gateway: address, interface: link.index))
    }

    private static func overlaid(
        _ range: CIDR, of node: RoutedNode, _ view: RoutingView
    ) throws(RoutingProblem) -> [RoutingEntry] {
        guard let overlay = view.overlay else { return [] }
        let isIPv4 = overlay.device.local.isIPv4
        let address = try address(of: node, isIPv4: isIPv4, view)
        let hardware = OverlayDevice.hardware(of: address)
        guard hardware != overlay.device.hardware else {
            throw problem(node, "\(address) gives the hardware address \(hardware), which is this node's")
        }
        let room = view.network.link(to: address).map {
            $0.mtu - min(OverlaySettings.overhead(underIPv4: isIPv4), $0.mtu)
        }
        let mtu = room.flatMap { $0 < overlay.device.mtu ? $0 : nil }
        let gateway = range.address
        return [
            .forwarding(hardware, address, interface: overlay.index),
            .neighbour(gateway, hardware, interface: overlay.index),
            .route(PlannedRoute(destination: range, gateway: gateway, interface: overlay.index, mtu: mtu)),
        ]
    }
}

/// What paths are planned by, beside the node that they lead to.
struct RoutingView: Sendable, Hashable {
    var mode: RoutingMode
    var network = LocalNetwork()
    /// This node's own ranges and addresses, which must not be led away.
    var own: RoutedNode?
    /// The device, once it is there.
    var overlay: (device: OverlayDevice, index: UInt32)?

    /// Why a range can't be routed to another node; nil where it can.
    func objection(to range: CIDR) -> String? {
        if let mine = own?.ranges.first(where: { $0.contains(range) || range.contains($0) }) {
            return "overlaps with \(mine), which is this node's"
        }
        let addresses = network.links.map(\.address) + (own?.addresses ?? [])
        if let address = addresses.first(where: range.contains) {
            return "has \(address), an address of this node, in it"
        }
        return nil
    }

    static func == (left: RoutingView, right: RoutingView) -> Bool {
        left.mode == right.mode && left.network == right.network && left.own == right.own
            && left.overlay?.device == right.overlay?.device && left.overlay?.index == right.overlay?.index
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(mode)
        hasher.combine(network)
    }
}
