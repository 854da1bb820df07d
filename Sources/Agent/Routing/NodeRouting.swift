internal import AgentAPI
internal import LinuxKernel
internal import Logging
internal import NodeRouting

/// The controller's part about the pods of other nodes.
extension NodeController {
    /// Brings routes to what is wanted. What fails is tried again by `maintain`.
    func route() {
        let before = routes.uplinks
        let outcome = routes.pass(at: KernelClock.monotonic())
        for problem in outcome.complaints {
            log.error(
                "The pods of a node are not routed to as it asks",
                metadata: ["node": "\(problem.node)", "field": "\(problem.field)", "problem": "\(problem.message)"])
        }
        for (place, problem) in outcome.news.sorted(by: { $0.key < $1.key }) {
            log.error(
                "A route to other nodes is not in force", metadata: ["what": "\(place)", "problem": "\(problem)"])
        }
        let report = outcome.report
        if report.written + report.removed > 0 {
            log.info(
                "Routes to the pods of other nodes were brought up to date",
                metadata: ["written": "\(report.written)", "removed": "\(report.removed)"])
        }
        if routes.uplinks != before { attachUplinks() }
    }

    /// The largest packet that pods may send: what all ways out of the node, and to other nodes, take.
    var podMTU: UInt32? {
        var sizes = [finder.uplinkMTU()].compactMap { $0 }
        if let device = routes.plan.device { sizes.append(device.mtu) }
        sizes += finder.mtus(routes.uplinks)
        return sizes.min()
    }

    /// How routing stands, for the CLI.
    var routingStatus: AgentStatus.Routing {
        AgentStatus.Routing(
            mode: routes.plan.mode.rawValue, nodes: routes.plan.nodeCount, routed: routes.plan.routedCount,
            entries: routes.wantedCount, device: routes.plan.device?.settings.device, mtu: routes.plan.device?.mtu)
    }

    var routingDiagnostics: [AgentDiagnostic] {
        routes.complaints.map { AgentDiagnostic(object: "Node \($0.node)", message: "\($0.field): \($0.message)") }
            + routes.problems.problems.sorted { $0.key < $1.key }.map {
                AgentDiagnostic(object: "Routing \($0.key)", message: $0.value)
            }
    }

    /// What the kernel has of routes, compared with what is wanted.
    func routingDrift() throws -> [AgentAPI.DriftItem] {
        try routes.verify().map { item in
            let kind: AgentAPI.DriftItem.Kind =
                item.present == nil ? .missing : item.wanted == nil ? .unexpected : .different
            return AgentAPI.DriftItem(
                table: "routing", key: "\(item.key)", kind: kind, desired: item.wanted.map { "\($0)" },
                actual: item.present.map { "\($0)" })
        }
    }
}
