internal import AgentAPI
internal import Addressing
internal import Datapath
internal import Kubernetes
internal import LoadBalancing
internal import NetworkPolicy
internal import LinuxKernel
internal import Logging
internal import NodeRouting

/// Brings the data path to what the cluster wants of this node: the one place where intent meets the kernel.
///
/// Changes of objects and of interfaces come in; edits go to the tables; what the kernel refuses is tried again.
actor NodeController {
    let configuration: AgentConfiguration
    let log: Logger
    let directory: FlowDirectory

    var state: ClusterState
    var tables: DatapathTables
    let kernel: DatapathKernel
    /// What keeps the addresses that were learned under names.
    var names: NameKeeping
    /// Where answers go that were read here.
    let answers: AnswerQueue
    var finder: EndpointFinder
    /// What keeps the routes to the pods of other nodes.
    var routes: NodeRoutes

    /// What CNI plugins handed over, and where that is kept.
    var attachments: PodAttachments
    let attachmentStore: AttachmentStore
    /// The notes of an earlier start that can't be read.
    let attachmentProblems: [String]
    /// What keeps the CNI configuration from being as it should.
    var cniProblem: String?

    /// The interface of each pod that has one.
    var interfaces: [PodKey: PodInterface] = [:]
    /// What the tables were told of them last.
    var endpoints: [PodKey: EndpointSpec] = [:]
    /// The first number of a pod that flows are not named by yet.
    private var nextNumber: UInt32 = 0
    /// Why the other pods have none.
    var unlocated: [PodKey: PodInterfaceProblem] = [:]
    var rules = PodInterfaceRules()
    /// The indexes of the uplinks that programs are on.
    var attachedUplinks: Set<UInt32> = []
    /// Those by which clients outside may be served, as their answers find the way back.
    var servedUplinks: Set<UInt32> = []
    /// The addresses of this node that are no source of its own, as Services have them.
    var virtualAddresses: Set<IPAddress> = []
    var uplinkProblems = AttachmentProblems()
    var podProblems = AttachmentProblems()
    /// What the attached uplinks have of XDP, and what was asked for and they don't have.
    var xdp: [UInt32: XDPStanding] = [:]
    var xdpProblems = AttachmentProblems()
    /// Of the programs at sockets, and of those of this build that should take over.
    var nodeProblems = AttachmentProblems()
    /// Whether an endpoint may have gone since the node's sockets were looked at.
    private var mayHaveCutOff = true
    var diagnostics = SourceDiagnostics()
    var problemLog = ProblemLog()
    /// Whether what is wrong with objects may be something else than was logged.
    var problemsMayDiffer = false
    /// Where the other nodes are.
    var nodeRanges: NodeRanges
    var health = SourceHealth()
    var isSynced = false
    /// Whether the programs of this build run.
    var isActive = false
    /// Set while what was taken over stays although nobody asked for it, as the view of the cluster has gaps.
    var keeping: KeptState?
    /// Set while programs of another ABI version go on by their own maps, as the view of the cluster has gaps: nothing of
    /// theirs can be taken over, so what can't be read would be in force no more.
    var awaiting: KeptState?
    var programming = ProgrammingState()
    let startedAt = KernelClock.realtime()
    var latency: ProgrammingLatency
    /// Where others read how this is.
    let monitor: AgentHealth
    /// What the collector has found.
    let evidence: EvidenceCounters

    init(
        configuration: AgentConfiguration, kernel: sending DatapathKernel, directory: FlowDirectory,
        answers: AnswerQueue, monitor: AgentHealth, evidence: EvidenceCounters, log: Logger
    ) throws {
        self.configuration = configuration
        self.log = log
        self.directory = directory
        self.answers = answers
        self.monitor = monitor
        self.evidence = evidence
        latency = ProgrammingLatency(start: startedAt)
        state = ClusterState(
            node: configuration.node, nodePorts: configuration.nodePortAddresses,
            algorithm: configuration.algorithm, maglevTableSize: configuration.maglevTableSize,
            servesClusterIPsOutside: configuration.servesClusterIPsOutside)
        names = try NameKeeping(kernel)
        nodeRanges = NodeRanges(own: configuration.node, sendsFromRanges: configuration.routing == RoutingMode.vxlan)
        routes = try NodeRoutes(
            configuration.routing, node: configuration.node, overlay: configuration.overlay)
        var tables = DatapathTables(
            node: configuration.node, startedAt: KernelClock.realtime(), capacities: kernel.capacities,
            layouts: configuration.layouts)
        try kernel.adopt(into: &tables)
        self.tables = tables
        self.kernel = kernel
        var finder = try EndpointFinder()
        rules.uplinks = try finder.defaultUplinks()
        attachmentStore = AttachmentStore(socket: configuration.socket)
        attachments = PodAttachments(node: configuration.node)
        let notes = attachmentStore.load()
        attachmentProblems = notes.problems
        for held in notes.held {
            // Where the kernel does not say, it counts as there: without it the pod would have no addresses.
            if finder.isAnother(held.interface) {
                attachmentStore.remove(held.key)
            } else {
                _ = attachments.add(held)
            }
        }
        for problem in attachmentProblems {
            log.error("What was noted of an attached pod can't be read", metadata: ["problem": "\(problem)"])
        }
        self.finder = finder
    }

    // MARK: Changes of objects

    /// Takes in what a source says.
    func handle(_ event: SourceEvent) {
        problemsMayDiffer = true
        switch event {
        case .changes(let changes): take(attachments.apply(changes))
        case .synced:
            directory.policyLog.noteSynced()
            finishFirstSync()
        case .diagnostic(let diagnostic): note(diagnostic)
        case .forgiven(let source): diagnostics.forgive(source)
        case .resolved(let diagnostic): diagnostics.resolve(diagnostic)
        case .standing(let kind, let standing): note(standing, of: kind)
        }
    }

    /// Takes in changes of objects, of which pods of this node have the addresses that they really have.
    func take(_ changes: [ObjectChange]) {
        problemsMayDiffer = true
        let outcome = state.apply(changes)
        directory.apply(changes)
        if keeping != nil { tables.release(peers: outcome.movedAddresses) }
        tables.apply(outcome.edits)
        tables.setResolvers(state.resolvers.trusted(with: configuration.dnsServers))
        locate(outcome.changedPods)
        noteNumbers()
        if routes.apply(changes) { route() }
        let movesNodes = nodeRanges.apply(changes)
        programming.startAnew()
        if state.localVirtualAddresses != virtualAddresses { _ = refreshUplinkAddresses() }
        // Before the first sync nothing is measured: what is read then has waited for the agent's start.
        guard isSynced else { return }
        if outcome.movesPodRanges { refreshNonMasquerade() }
        if movesNodes { refreshNodeRanges() }
        latency.note(changes)
        program()
    }

    /// The view is full: what was taken over and nobody asked for can go, and programs may be attached.
    private func finishFirstSync() {
        guard !isSynced else { return }
        if kernel.replacesForeign, diagnostics.hidesPolicies { return awaitFullView() }
        // The first pass writes by which uplinks clients outside are served, and what leaves in the node's name.
        prepareUplinks()
        refreshNonMasquerade()
        refreshNodeRanges()
        // Without the node's own addresses the first pass would take back what lets the node into its pods.
        refreshLocalAddresses()
        isSynced = true
        tables.setResolvers(state.resolvers.trusted(with: configuration.dnsServers))
        if diagnostics.hidesObjects {
            keeping = KeptState()
            tables.keepStale(holdingPolicies: diagnostics.hidesPolicies)
            log.warning(
                "Not every object can be read: what was in force before the start is kept",
                metadata: ["policies": diagnostics.hidesPolicies ? "as they were" : "as written"])
        } else {
            tables.removeStale()
        }
        routes.start(removes: keeping == nil)
        route()
        program()
        attachEverything()
        for stray in strayNode { log.warning("\(stray.object): \(stray.message)") }
        log.info("All objects have been read once", metadata: ["endpoints": "\(interfaces.count)"])
    }

    private func awaitFullView() {
        guard awaiting == nil else { return }
        awaiting = KeptState()
        log.error(
            "Policies may be missing, and what is in force is of another version: it goes on as it is until all can be read",
            metadata: ["first": "\(diagnostics.shown.first.first.map { "\($0)" } ?? "none")"])
    }

    private func note(_ diagnostic: SourceDiagnostic) {
        diagnostics.note(diagnostic)
        if diagnostic.isNotice {
            log.info("Something in the manifests is not read", metadata: ["source": "\(diagnostic)"])
        } else {
            log.error("An object is not in force as written", metadata: ["problem": "\(diagnostic)"])
        }
    }

    private func note(_ standing: KindStanding, of kind: ObjectKind) {
        guard health.note(standing, of: kind, at: KernelClock.realtime()) else { return }
        let metadata: Logger.Metadata = ["kind": "\(kind.rawValue)", "problem": "\(standing.problem ?? "none")"]
        if standing.problem == nil {
            log.info("Objects of this kind are followed", metadata: metadata)
        } else if standing.isConnected {
            log.info("Objects of this kind are not there to be followed", metadata: metadata)
        } else {
            log.warning("Objects of this kind can't be followed now; what is in force stays", metadata: metadata)
        }
    }

    // MARK: Evidence

    /// The events of the data path; there may be one consumer. They can be read before the first sync.
    func events() throws -> EventSource { try kernel.events() }

    /// The connections; before the first sync the programs of an earlier start may run, with other maps.
    func scanner() async throws -> ConnectionScanner {
        while !isSynced { try await Task.sleep(for: .milliseconds(50)) }
        return try kernel.connectionScanner(interval: configuration.activeInterval.nanoseconds)
    }

    /// The denied packets that wait to be told; likewise.
    func denialScanner() async throws -> DenialScanner {
        while !isSynced { try await Task.sleep(for: .milliseconds(50)) }
        return try kernel.denialScanner()
    }

    // MARK: Writing

    /// Writes what the kernel does not hold yet, and attaches programs for endpoints that are in force now. What fails
    /// is tried again by `maintain`.
    func program() {
        let started = KernelClock.monotonic()
        let report = kernel.program(&tables, now: started)
        noteNumbers()
        programming.note(report, started: started, ended: KernelClock.monotonic())
        if report.written > 0 { mayHaveCutOff = true }
        if report.isComplete { latency.settle(at: KernelClock.realtime()) }
        for problem in programming.news(in: report) {
            log.error("Something could not be programmed", metadata: ["problem": "\(problem)"])
        }
        if kernel.isBeside { return }
        attachPods()
        // What their processes send next is to go to one that serves.
        if report.hasCutOff, isSynced { endCutOffSockets() }
    }

    /// Lets flows be named by the numbers of pods.
    private func noteNumbers() {
        guard tables.nextNumber != nextNumber else { return }
        directory.note(tables.pods(from: nextNumber), next: tables.nextNumber)
        nextNumber = tables.nextNumber
    }

    /// What is due: another try of what failed, the end of a grace period, a comparison with the kernel.
    func maintain() {
        let now = KernelClock.monotonic()
        noteHealth()
        if awaiting?.isOver(at: now, viewIsFull: !diagnostics.hidesPolicies) ?? false {
            awaiting = nil
            finishFirstSync()
        }
        // What was taken over is in force, and goes on learning, also while nothing can be read of the cluster.
        if isSynced || !kernel.isBeside { keepNames(at: now) }
        guard isSynced else { return }
        logProblems()
        if programming.isDue(at: now) { program() }
        endCutOffSockets()
        if keeping?.isOver(at: now, viewIsFull: !diagnostics.hidesObjects) ?? false { letGoOfStale() }
        if routes.isDue(at: now) { route() }
        if uplinkProblems.isDue(at: now) { attachUplinks() }
        if xdpProblems.isDue(at: now) { settleShortcuts() }
        if nodeProblems.isDue(at: now) { attachEverything() } else if podProblems.isDue(at: now) { attachPods() }
        if let interval = configuration.driftInterval, programming.driftIsDue(at: now, interval: interval) { repair() }
    }

    /// Ends the node's own sockets that are connected to what serves no more, once something has changed.
    private func endCutOffSockets() {
        guard mayHaveCutOff else { return }
        mayHaveCutOff = false
        do {
            let count = try kernel.endCutOffSockets()
            guard count > 0 else { return }
            log.info(
                "Datagram sockets of the node were ended whose endpoint serves no more", metadata: ["count": "\(count)"]
            )
        } catch {
            mayHaveCutOff = true
            log.warning("The node's datagram sockets could not be looked at", metadata: ["error": "\(error)"])
        }
    }

    private func letGoOfStale() {
        keeping = nil
        tables.removeStale()
        routes.start(removes: true)
        route()
        program()
        attachEverything()
        log.info("All objects can be read: what nobody asks for any more has been removed")
    }

    private func repair() {
        repairPins()
        routes.lookAgain()
        route()
        let links = checkLinks()
        for name in links.missing {
            log.warning("A program was not attached any more; repaired", metadata: ["link": "\(name)"])
        }
        if links.missing.isEmpty { settleShortcuts() } else { attachEverything() }
        do {
            let found = try kernel.repair(&tables)
            for item in found.prefix(20) {
                log.warning("The kernel differed from what is wanted; repaired", metadata: ["item": "\(item)"])
            }
            if !found.isEmpty { program() }
        } catch {
            log.error("The maps could not be read", metadata: ["error": "\(error)"])
        }
    }

    private func repairPins() {
        do {
            for name in try kernel.repairPins() {
                log.warning("A map was not pinned any more; repaired", metadata: ["map": "\(name)"])
            }
        } catch {
            log.error("A map could not be pinned again", metadata: ["error": "\(error)"])
        }
    }
}
