internal import AgentAPI
internal import Datapath
internal import Flows
internal import Kubernetes
internal import LinuxKernel
internal import LoadBalancing
internal import NetworkPolicy

/// The controller's part about itself: how it is doing, and whether the kernel holds what is wanted.
extension NodeController {
    /// How the agent is doing; the evidence is somebody else's to fill in.
    func status() -> AgentStatus {
        var status = AgentStatus(
            version: AgentConfiguration.version, node: configuration.node, started: Timestamp.text(startedAt),
            redirectMode: configuration.redirectsToPeer ? "peer" : "stack")
        status.sources = ObjectKind.allCases.map { kind in
            AgentStatus.Source(
                kind: kind.rawValue, synced: health[kind]?.isSynced ?? isSynced,
                objects: state.objectCounts[kind] ?? 0, error: health[kind]?.problem)
        }
        status.origin = AgentStatus.Origin(
            name: configuration.source.description, synced: isSynced, connected: health.isConnected,
            failingSince: health.failingSince.map(Timestamp.text), error: health.problem)
        let attached = kernel.attachedPods
        status.programmed.endpoints = interfaces.count
        status.programmed.attached = interfaces.values.count { attached.contains($0.index) }
        status.programmed.services = Set(state.services.programs.values.map(\.service)).count
        status.programmed.frontends = state.services.programs.count
        status.programmed.backends = Set(state.services.programs.values.flatMap(\.backends)).count
        status.programmed.policies = [.networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy].reduce(0) {
            $0 + (state.objectCounts[$1] ?? 0)
        }
        status.applying.edits = programming.written
        status.applying.errors = programming.failures
        status.applying.lastDurationNanoseconds = programming.lastDuration
        status.applying.lastError = programming.problems.first?.description
        status.applying.pendingRetries = programming.problems.count
        status.routing = routingStatus
        status.xdp = xdpStatus
        status.evidence.detail = configuration.flowDetail.rawValue
        status.diagnostics = allDiagnostics()
        return status
    }

    private func allDiagnostics() -> [AgentDiagnostic] {
        let policies = state.policies.problems.map {
            AgentDiagnostic(object: "\($0.object)", message: "\($0.field): \($0.message)")
        }
        let services = state.services.problems.map { AgentDiagnostic(object: $0.object, message: $0.reason) }
        let pods = unlocated.sorted { $0.key < $1.key }.map {
            AgentDiagnostic(object: "Pod \($0.key)", message: $0.value.description)
        }
        let strangers = attachments.strangers.map {
            AgentDiagnostic(
                object: "Pod \($0.podKey)",
                message: "it is closed: \($0.interface.name) was attached for it, and there is no object of it yet")
        }
        let unchecked = interfaces.filter { $0.value.podAddress == nil }.sorted { $0.key < $1.key }.map {
            AgentDiagnostic(
                object: "Pod \($0.key)",
                message:
                    "the hardware address of its end of \($0.value.name) is not known: the source of its frames is "
                    + "not checked")
        }
        let places = [("Uplink", uplinkProblems), ("Pod", podProblems), ("Node", nodeProblems)]
        let uncovered = places.flatMap { kind, found in
            found.problems.sorted { $0.key < $1.key }.map {
                AgentDiagnostic(object: "\(kind) \($0.key)", message: $0.value)
            }
        }
        let writes = programming.problems.map { AgentDiagnostic(object: $0.object, message: $0.reason.description) }
        let kept = [keptText].compactMap { $0 }.map {
            AgentDiagnostic(object: "Node \(configuration.node)", message: "not every object can be read: \($0)")
        }
        let cni =
            [cniProblem].compactMap { $0 }.map { AgentDiagnostic(object: "CNI configuration", message: $0) }
            + attachmentProblems.map {
                AgentDiagnostic(object: "CNI attachment", message: "what was noted of it can't be read: \($0)")
            }
        let closed = closedPods
        let overlong = closed.overlong.map {
            AgentDiagnostic(object: "endpoint \($0.pod)", message: $0.problem.message)
        }
        let judging = closed.judging.map { AgentDiagnostic(object: "\($0.policy)", message: $0.problem.message) }
        return kept + strayNode + cni + heldPeers() + diagnostics.told + policies + services + pods + strangers
            + unchecked
            + uncovered + uncounted + routingDiagnostics + xdpDiagnostics + portDiagnostics + writes + overlong
            + judging
    }

    /// That policies are to be logged of which nothing is told, and what the kernel does not take.
    private var uncounted: [AgentDiagnostic] {
        let unlogged =
            configuration.flowDetail == .none && directory.policyLog.logsAnything
            ? [
                AgentDiagnostic(
                    object: "NetworkLogging", message: "nothing is logged: apusd runs with --flow-detail none")
            ]
            : []
        return unlogged
            + [kernel.tracingError].compactMap { $0 }.map {
                AgentDiagnostic(
                    object: "Node \(configuration.node)", message: "what TCP sends again is not counted: \($0)")
            }
    }

    /// That the cluster has pods or nodes, and none by this node's name: nothing is enforced then.
    var strayNode: [AgentDiagnostic] {
        let others = state.strangers
        guard isSynced, keeping == nil, !others.isEmpty else { return [] }
        let some = others.prefix(3).joined(separator: ", ") + (others.count > 3 ? ", …" : "")
        return [
            AgentDiagnostic(
                object: "Node \(configuration.node)",
                message:
                    "there is no Node of this name and no Pod on it (--node): no pod is enforced; there are \(some)")
        ]
    }

    /// What a view with gaps has stopped.
    private var keptText: String? {
        if awaiting != nil {
            return
                "what is in force is of another version of Apus, which goes on by what it has until all can be read; "
                + "no pod is attached and nothing changes meanwhile"
        }
        guard keeping != nil else { return nil }
        return "pods, Services and policies from before the start are kept until they can, and its pods are judged as "
            + "before"
    }

    private func heldPeers() -> [AgentDiagnostic] {
        guard keeping != nil else { return [] }
        return tables.heldPeers.map { held in
            let more = held.peers.count > 3 ? " and \(held.peers.count - 3) more" : ""
            let peers = held.peers.prefix(3).joined(separator: ", ") + more
            return AgentDiagnostic(
                object: "Pod \(held.pod)",
                message: "peers \(peers) are what they were before the start to it, until every object can be read: "
                    + "a rule that denies them as what they are now does not hold")
        }
    }

    /// Compares the kernel with what is wanted, and tells what could not be written for longer than a moment.
    func verify() throws -> VerifyReport {
        let drift = try kernel.verify(tables).map { item in
            AgentAPI.DriftItem(
                table: item.table.rawValue, key: item.key, kind: AgentAPI.DriftItem.Kind(item.kind),
                desired: item.desired, actual: item.actual)
        }
        let unwritten = programming.standing(at: KernelClock.monotonic()).map(AgentAPI.DriftItem.init)
        let checked = tables.entryCounts.map { VerifyReport.Table(name: $0.table.rawValue, checked: $0.count) }
        let links = checkLinks()
        let missing = links.missing.map { name in
            AgentAPI.DriftItem(table: "links", key: name, kind: .missing, desired: "attached")
        }
        let pins = kernel.checkPins()
        let routing = try routingDrift()
        let counts = [("links", links.count), ("pins", pins.count), ("routing", routes.wantedCount)]
        let others = counts.map(VerifyReport.Table.init(name:checked:))
        return VerifyReport(
            tables: checked + others,
            drift: drift + unwritten + missing + pins.wrong.map(AgentAPI.DriftItem.init) + routing)
    }
}

extension SourceDiagnostics {
    /// What is shown of it.
    var told: [AgentDiagnostic] {
        let (first, others) = shown
        let told = first.map { diagnostic in
            let place = diagnostic.document.map { "\(diagnostic.source), document \($0)" } ?? diagnostic.source
            return AgentDiagnostic(
                object: diagnostic.key?.description ?? diagnostic.subject ?? diagnostic.source, location: place,
                message: diagnostic.explanation)
        }
        if others == 0 { return told }
        let message = "and \(others) more problems: they follow here as these are mended, and stand in the log"
        return told + [AgentDiagnostic(object: "sources", message: message)]
    }
}

extension AgentAPI.DriftItem {
    /// Something that is wanted and could not be written.
    init(_ problem: DatapathProblem) {
        self.init(table: problem.map, key: problem.object, kind: .notWritten, reason: problem.reason.description)
    }

    fileprivate init(_ pin: WrongPin) {
        self.init(
            table: "pins", key: pin.name, kind: pin.found == nil ? .missing : .different,
            desired: "leads to map \(pin.wanted), which the agent writes",
            actual: pin.found.map { "leads to map \($0), which it does not" })
    }
}

extension AgentAPI.DriftItem.Kind {
    fileprivate init(_ kind: Datapath.DriftItem.Kind) {
        switch kind {
        case .missing: self = .missing
        case .unexpected: self = .unexpected
        case .different: self = .different
        }
    }
}
