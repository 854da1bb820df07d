internal import Addressing
internal import Kubernetes
internal import LinuxKernel
internal import NodeRouting

/// The agent's part in routes to the pods of other nodes: what Nodes and interfaces say, brought to the kernel.
struct NodeRoutes: ~Copyable {
    private(set) var plan: RoutingPlan
    private var table = RoutingTable()
    private var kernel: RoutingKernel
    private let settings: OverlaySettings
    /// The number of the device; nil while there is none.
    private(set) var overlayIndex: UInt32?
    /// What the kernel or somebody else's interface or route keeps from being as it should.
    private(set) var problems = AttachmentProblems()
    /// Routes of others to what ours lead to.
    private var others: [CIDR: Route] = [:]
    /// Whether all Nodes have been read.
    private var isStarted = false
    /// Whether the kernel's tables may have changed unseen.
    private var isStale = true
    private var told: Set<RoutingProblem> = []
    private(set) var writes: UInt64 = 0
    private(set) var failures: UInt64 = 0

    init(_ mode: RoutingMode, node: String, overlay: OverlaySettings) throws(KernelError) {
        plan = RoutingPlan(mode, node: node, overlay: overlay)
        settings = overlay
        kernel = try RoutingKernel()
    }

    /// Takes in changes of Nodes. Returns whether there is something to write.
    mutating func apply(_ changes: [ObjectChange]) -> Bool {
        guard plan.mode != .native else { return false }
        var touched: Set<RoutingEntry.Key> = []
        let device = plan.device
        for change in changes {
            switch change {
            case .upsert(.node(let node)): touched.formUnion(plan.upsert(RoutedNode(node)))
            case .delete(let key) where key.kind == .node: touched.formUnion(plan.remove(key.name))
            default: break
            }
        }
        table.want(touched, by: plan)
        return isStarted && (!table.isComplete || plan.device != device)
    }

    /// All Nodes have been read once: entries are written from now on, and with `removes` those go that nobody asks for.
    mutating func start(removes: Bool) {
        isStarted = true
        isStale = true
        table.removes = removes
    }

    /// Takes in a change of interfaces, addresses, routes and neighbours. Returns whether there is something to write.
    mutating func note(_ event: NetlinkEvent) -> Bool {
        guard plan.mode != .native else { return false }
        switch event {
        case .routeAdded(let route): observe(route, isThere: true)
        case .routeRemoved(let route): observe(route, isThere: false)
        case .neighbourChanged(let neighbour): observe(neighbour, isThere: true)
        case .neighbourRemoved(let neighbour): observe(neighbour, isThere: false)
        case .interfaceChanged(let interface), .interfaceRemoved(let interface):
            // A link that goes down takes its routes with it, and the kernel does not tell of each.
            if interface.name == settings.device || interface.index == overlayIndex
                || plan.links.contains(interface.index) || plan.reaches(interface.index)
            {
                isStale = true
            }
        case .addressAdded, .addressRemoved, .overrun: isStale = true
        }
        return isStarted && (isStale || !table.isComplete)
    }

    private mutating func observe(_ route: Route, isThere: Bool) {
        guard route.table == Route.mainTable else { return }
        if let entry = RoutingKernel.entry(route) {
            _ = table.observed(entry.key, isThere ? entry : nil)
        } else if plan.entry(for: .route(route.destination)) != nil {
            isStale = true
        }
    }

    private mutating func observe(_ neighbour: Neighbour, isThere: Bool) {
        guard neighbour.interfaceIndex == overlayIndex, let key = RoutingKernel.key(neighbour) else { return }
        _ = table.observed(key, isThere ? RoutingKernel.entry(neighbour) : nil)
    }

    /// Looks at all again with the next pass.
    mutating func lookAgain() { isStale = true }

    /// Whether a pass is due.
    func isDue(at now: UInt64) -> Bool { isStarted && problems.isDue(at: now) }

    /// The interfaces beside uplinks that lead to other nodes.
    var uplinks: Set<UInt32> {
        switch plan.mode {
        case .native: []
        case .direct: plan.links
        case .vxlan: overlayIndex.map { [$0] } ?? []
        }
    }

    /// What a pass did, and what it met that was not told before.
    struct Outcome {
        var report = RoutingTable.Report()
        var news: [String: String] = [:]
        var complaints: [RoutingProblem] = []
    }

    /// Brings the kernel to what is wanted.
    mutating func pass(at now: UInt64) -> Outcome {
        guard isStarted else { return Outcome() }
        var outcome = Outcome()
        var found: [String: String] = [:]
        do throws(KernelError) {
            if isStale { try refresh() }
            if plan.mode == .vxlan, plan.device != nil { found[settings.device] = bringDevice() }
            if isStale { try look() }
            isStale = false
        } catch {
            found["kernel"] = "what it has can't be read or changed: \(error)"
        }
        // Without a plan for the device, as while there is no object of this node, what there is stays.
        if plan.mode == .direct || plan.device != nil, !isStale { outcome.report = table.pass(&kernel) }
        writes += UInt64(outcome.report.written + outcome.report.removed)
        failures += UInt64(outcome.report.failures.count)
        for (key, reason) in outcome.report.failures { found["\(key)"] = reason }
        let places = problems.note(found, at: now)
        outcome.news = found.filter { places.contains($0.key) }
        outcome.complaints = complaints.filter { told.insert($0).inserted }
        told.formIntersection(complaints)
        return outcome
    }

    /// Looks at this node's own network, and lets go of what an earlier start with other settings made.
    private mutating func refresh() throws(KernelError) {
        if table.removes {
            if plan.mode == .native { writes += UInt64(try kernel.removeRoutes()) }
            _ = try kernel.removeOverlays(except: plan.mode == .vxlan ? settings.device : nil)
        }
        guard plan.mode != .native else { return }
        if !plan.setNetwork(try kernel.network(without: settings.device)).isEmpty { table.wantAll(by: plan) }
    }

    /// Makes the device, or changes it. Returns why that can't be.
    private mutating func bringDevice() -> String? {
        guard let device = plan.device else { return nil }
        do {
            for step in try device.steps(from: try kernel.overlay(named: settings.device)) {
                isStale = true
                try kernel.take(step, device)
                writes += 1
            }
            setOverlay(try kernel.overlay(named: settings.device)?.index)
            return nil
        } catch {
            failures += 1
            // What leads over a device that is there goes on.
            if error is ForeignInterface { setOverlay(nil) }
            return "\(error)"
        }
    }

    private mutating func setOverlay(_ index: UInt32?) {
        overlayIndex = index
        if !plan.setOverlay(index: index).isEmpty { table.wantAll(by: plan) }
    }

    /// Looks at what the kernel has.
    private mutating func look() throws(KernelError) {
        guard plan.mode != .native else { return }
        let view = try kernel.look(overlay: overlayIndex)
        table.found(view.entries)
        others = view.others.filter { plan.entry(for: .route($0.key)) != nil }
    }

    // MARK: For people

    /// What can't be done as Nodes ask, and routes of others that are in the way.
    var complaints: [RoutingProblem] {
        plan.problems
            + others.values.sorted { $0.destination < $1.destination }.filter { $0.priority <= RoutingKernel.priority }
            .map { route in
                RoutingProblem(
                    node: plan.owner(of: route.destination) ?? "", field: "spec.podCIDRs",
                    message:
                        "\(route.destination) has a route of somebody else (protocol \(route.origin.rawValue), metric "
                        + "\(route.priority)), which comes first")
            }
    }

    /// How many entries there should be.
    var wantedCount: Int { table.wantedCount }

    /// What differs in the kernel, after a new look at it.
    mutating func verify() throws(KernelError) -> [RoutingTable.Drift] {
        guard plan.mode != .native, isStarted else { return [] }
        try look()
        return table.drift
    }
}

extension RoutedNode {
    init(_ node: Node) {
        self.init(
            node.meta.name, addresses: node.addresses.filter { $0.kind == .internalIP }.map(\.address),
            ranges: node.podCIDRs)
    }
}
