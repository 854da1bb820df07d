public import Addressing

/// Node objects in, entries of the kernel's tables out: a value that touches nothing.
///
/// One node's change costs what that node has; a change of this node's own network plans all anew.
public struct RoutingPlan: Sendable {
    private var view: RoutingView
    private let ownName: String
    private let settings: OverlaySettings
    private var nodes: [String: RoutedNode] = [:]
    private var paths: [String: NodePaths] = [:]
    /// The nodes that something is wrong with, and those that have routes.
    private var troubled: Set<String> = []
    private var routed: Set<String> = []
    /// Who asks for an entry, and for which.
    private var claims: [RoutingEntry.Key: [String: RoutingEntry]] = [:]
    /// The keys of which two nodes ask for different entries.
    private var contested: Set<RoutingEntry.Key> = []
    /// The device that this node should have; nil with other modes, and where it can't have one.
    public private(set) var device: OverlayDevice?
    private var deviceProblem: RoutingProblem?

    /// - Parameter node: the name of this node.
    public init(_ mode: RoutingMode, node: String, overlay: OverlaySettings = OverlaySettings()) {
        view = RoutingView(mode: mode)
        ownName = node
        settings = overlay
    }

    public var mode: RoutingMode { view.mode }
    /// How many other nodes there are, and how many of them have routes.
    public var nodeCount: Int { nodes.count }
    public var routedCount: Int { routed.count }
    /// The interfaces that packets to other nodes leave by, without the device, or left by since this node's own network
    /// changed.
    public private(set) var links: Set<UInt32> = []

    /// Takes in a node. Returns the keys whose entries may have changed.
    public mutating func upsert(_ node: RoutedNode) -> Set<RoutingEntry.Key> {
        guard node.name != ownName else { return setOwn(node) }
        guard nodes.updateValue(node, forKey: node.name) != node else { return [] }
        return plan(node.name)
    }

    /// Forgets a node. Returns the keys whose entries may have changed.
    public mutating func remove(_ name: String) -> Set<RoutingEntry.Key> {
        if name == ownName { return setOwn(nil) }
        guard nodes.removeValue(forKey: name) != nil else { return [] }
        return plan(name)
    }

    /// Takes in what this node's interfaces reach.
    public mutating func setNetwork(_ network: LocalNetwork) -> Set<RoutingEntry.Key> {
        guard view.network != network else { return [] }
        view.network = network
        return planAll()
    }

    /// Takes in the number of the device; nil while there is none.
    public mutating func setOverlay(index: UInt32?) -> Set<RoutingEntry.Key> {
        var next = view
        next.overlay = nil
        if let index, let device { next.overlay = (device, index) }
        guard next != view else { return [] }
        view = next
        return planAll()
    }

    /// Whether an interface of this node has an address.
    public func reaches(_ interface: UInt32) -> Bool { view.network.links.contains { $0.index == interface } }

    /// The entry that there should be; of nodes that ask for different ones the first by name gets its.
    public func entry(for key: RoutingEntry.Key) -> RoutingEntry? {
        claims[key]?.min { $0.key < $1.key }?.value
    }

    /// The node whose a range is.
    public func owner(of range: CIDR) -> String? { claims[.route(range)]?.keys.min() }

    /// All entries that there should be.
    public var entries: [RoutingEntry.Key: RoutingEntry] {
        claims.mapValues { claims in claims.min { $0.key < $1.key }!.value }
    }

    /// What can't be done, in order.
    public var problems: [RoutingProblem] {
        let conflicts = contested.flatMap { key -> [RoutingProblem] in
            guard let claims = claims[key], let winner = claims.keys.min(), let entry = claims[winner] else {
                return []
            }
            return claims.filter { $0.value != entry }.map { loser, _ in
                let (field, what) =
                    switch key {
                    case .route(let range): ("spec.podCIDRs", "\(range)")
                    case .neighbour(let address): ("spec.podCIDRs", "the range of \(address)")
                    case .forwarding(let hardware): ("status.addresses", "its hardware address \(hardware)")
                    }
                return RoutingProblem(node: loser, field: field, message: "\(what) is Node \(winner)'s already")
            }
        }
        return (troubled.flatMap { paths[$0]?.problems ?? [] } + conflicts + [deviceProblem].compactMap { $0 }).sorted()
    }

    private mutating func setOwn(_ node: RoutedNode?) -> Set<RoutingEntry.Key> {
        guard view.own != node else { return [] }
        view.own = node
        return planAll()
    }

    private mutating func planAll() -> Set<RoutingEntry.Key> {
        planDevice()
        links = []
        return nodes.keys.reduce(into: []) { $0.formUnion(plan($1)) }
    }

    private mutating func planDevice() {
        (device, deviceProblem) = (nil, nil)
        guard mode == .vxlan, let own = view.own else { return view.overlay = nil }
        do throws(RoutingProblem) {
            let planned = try OverlayDevice.planned(for: own, view.network, settings)
            device = planned
            if let index = view.overlay?.index { view.overlay = (planned, index) }
        } catch {
            deviceProblem = error
            view.overlay = nil
        }
    }

    /// Plans one node anew, or lets its entries go when it is gone.
    private mutating func plan(_ name: String) -> Set<RoutingEntry.Key> {
        let before = paths[name]?.entries ?? []
        paths[name] = nodes[name].map { NodePaths(to: $0, view) }
        let after = paths[name]?.entries ?? []
        index(name)
        let gone = Set(before.map(\.key)).subtracting(after.map(\.key))
        for key in gone { claims[key, default: [:]][name] = nil }
        for entry in after { claims[entry.key, default: [:]][name] = entry }
        let touched = gone.union(after.map(\.key))
        for key in touched { settle(key) }
        return touched
    }

    private mutating func index(_ name: String) {
        let path = paths[name] ?? NodePaths()
        if path.problems.isEmpty { troubled.remove(name) } else { troubled.insert(name) }
        if path.entries.isEmpty { routed.remove(name) } else { routed.insert(name) }
        guard mode == .direct else { return }
        for case .route(let route) in path.entries { links.insert(route.interface) }
    }

    private mutating func settle(_ key: RoutingEntry.Key) {
        if claims[key]?.isEmpty ?? true { claims[key] = nil }
        if Set(claims[key]?.values.map { $0 } ?? []).count > 1 {
            contested.insert(key)
        } else {
            contested.remove(key)
        }
    }
}
