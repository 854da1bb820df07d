internal import AgentAPI
internal import Datapath
internal import Flows
internal import HubbleServer
internal import FoundationEssentials
internal import Glibc
internal import Kubernetes
internal import KubernetesAPI
internal import LinuxKernel
public import Logging
public import NodeRouting
internal import ServiceLifecycle
internal import UnixSignals
internal import WebPage

/// The composition root: builds the parts of the agent and runs them until it is told to stop.
///
/// Stopping leaves the data path as it is: packets go on, connections live.
public struct Agent: Sendable {
    private let configuration: AgentConfiguration
    private let log: Logger

    public init(_ configuration: AgentConfiguration, log: Logger) {
        self.configuration = configuration
        self.log = log
    }

    /// Runs until SIGTERM or SIGINT, or until a part fails for good.
    public func run() async throws {
        try Requirements.checkUser()
        try Requirements.check()
        try makeSocketDirectory()
        try await AgentServer.expectFree(path: configuration.socket)
        try DatapathKernel.prepare(bpffs: configuration.bpffs)
        // Before the programs are loaded: that makes pins beside those in use, and another agent may be at it.
        let lock = try AgentLock(directory: configuration.bpffs)
        let parts = Parts(configuration)
        let hubble = try HubbleServer(
            configuration.hubble, node: configuration.node, version: AgentConfiguration.version, hub: parts.hub,
            peers: parts.directory.nodes, rules: parts.directory.rules, counters: parts.hubbleCounters,
            started: parts.started
        ) { [log] problem in log.warning("Hubble's certificate can't be read again", metadata: ["reason": "\(problem)"])
        }
        let endpoints = try await HTTPEndpoints(configuration.addresses)
        let group: ServiceGroup
        do { group = try makeGroup(endpoints, parts, hubble) } catch {
            await endpoints.discard()
            throw error
        }
        log.info(
            "Apus is starting",
            metadata: ["version": "\(AgentConfiguration.version)", "node": "\(configuration.node)"])
        try await group.run()
        _ = consume lock
        log.info("Apus has stopped; the data path goes on")
    }

    /// Loads the data path and builds the parts around it.
    private func makeGroup(_ endpoints: HTTPEndpoints, _ parts: Parts, _ hubble: HubbleServer) throws -> ServiceGroup {
        // Watches come before the first look, so that no change falls between them; a source that is not there is known
        // before anything is pinned.
        let links = try NetlinkEvents(neighbours: configuration.routing == .vxlan)
        let source = try openSource()
        var options = configuration.datapathOptions
        options.nodeNamespace = try NetworkNamespace.cookie()
        let kernel = try DatapathKernel(options)
        if let error = kernel.tracingError {
            log.warning("What TCP sends again is not counted", metadata: ["error": "\(error)"])
        }
        if let error = kernel.endingError {
            log.warning("Datagram sockets of the node stay with their endpoints", metadata: ["error": "\(error)"])
        }
        let controller = try NodeController(
            configuration: configuration, kernel: kernel, directory: parts.directory, answers: parts.answers,
            monitor: parts.health, evidence: parts.evidence, log: log)
        let reporter = source.access.map { access in
            ClusterReporter(
                access: access, userAgent: AgentConfiguration.userAgent, node: configuration.node,
                controller: controller, counters: parts.reports, log: log)
        }
        let exports = Exports(
            configuration, hub: parts.hub, policyLog: parts.directory.policyLog, started: parts.started, log: log)
        let metrics = MetricsSource(
            configuration: configuration, controller: controller, hub: parts.hub, evidence: parts.evidence,
            counters: parts.counters, directory: parts.directory, hubble: parts.hubbleCounters, exports: exports,
            requests: source.statistics,
            reports: reporter == nil ? nil : parts.reports)
        warnOfEmptyEvidence()
        let answers = handler(controller, parts)
        let page = WebPage(
            hub: parts.hub, started: parts.started, now: KernelClock.realtime, status: answers.status,
            policies: { await controller.allPolicies() })
        return ServiceGroup(
            // The last ones are stopped first, so what exports sees all that the collector found.
            services: exports.services { await metrics.families() }
                + services(controller, parts, answers, links, source.follow(controller))
                + [HubbleService(server: hubble, log: log)]
                + [reporter].compactMap { $0 }
                + [configuration.cni].compactMap { $0 }.map {
                    CNIKeeper(settings: $0, controller: controller, log: log)
                }
                + endpoints.services(metrics: metrics, health: parts.health, page: page, log: log),
            gracefulShutdownSignals: [.sigterm, .sigint], logger: log)
    }

    /// What several of the agent's services share.
    private struct Parts {
        let directory = FlowDirectory()
        let answers = AnswerQueue()
        let hub: FlowHub
        let evidence = EvidenceCounters()
        let health = AgentHealth()
        let reports = ReportCounters()
        let counters: FlowCounters
        let hubbleCounters = HubbleCounters()
        /// Nanoseconds since 1970: flows have the same UUIDs wherever they are shown.
        let started = KernelClock.realtime()

        init(_ configuration: AgentConfiguration) {
            hub = FlowHub(capacity: configuration.flowCapacity)
            counters = FlowCounters(node: configuration.node)
        }
    }

    /// Says who is asked to tell of flows and never will.
    private func warnOfEmptyEvidence() {
        for consumer in configuration.emptyEvidence {
            log.warning(
                "Nothing is told of flows, so this stays empty", metadata: ["what": "\(consumer)", "detail": "none"])
        }
    }

    /// A source that has been looked at.
    private struct Source {
        let follow: @Sendable (NodeController) -> any ServiceLifecycle.Service
        /// nil from one that makes no requests.
        var statistics: APIStatistics?
        /// How to write to it; nil where nothing can be written to.
        var access: ClusterAccess?
    }

    /// Looks at the source as far as can be told before the data path is touched; returns what follows it.
    private func openSource() throws -> Source {
        switch configuration.source {
        case .manifests(let directory):
            let source = DirectorySource(directory: directory, signals: try watch(directory))
            return Source { SourceFollower(source: source, controller: $0) }
        case .kubeconfig(let file): return try follower(try ClusterAccess.kubeconfig(file))
        case .inCluster: return try follower(try ClusterAccess.inCluster { ProcessInfo.processInfo.environment[$0] })
        }
    }

    private func follower(_ access: ClusterAccess) throws -> Source {
        let source = APISource(access, userAgent: AgentConfiguration.userAgent)
        try source.validate()
        return Source(
            follow: { APIFollower(source: source, controller: $0) }, statistics: source.statistics, access: access)
    }

    private func watch(_ directory: String) throws -> ManifestSignals {
        do { return try ManifestSignals(directory) } catch {
            throw AgentFailure(
                "the manifests in \(directory) can't be followed: \(error.errno); name a directory with --manifests")
        }
    }

    /// Makes the directory of the CLI's socket.
    private func makeSocketDirectory() throws {
        guard let directory = Self.directory(of: configuration.socket) else { return }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw AgentFailure(
                "the directory \(directory) can't be made for the socket: name another path with --socket")
        }
    }

    private func handler(_ controller: NodeController, _ parts: Parts) -> APIHandler {
        let hello = AgentHello(version: AgentConfiguration.version, node: configuration.node)
        return APIHandler(hello: hello, controller: controller, hub: parts.hub)
    }

    private func services(
        _ controller: NodeController, _ parts: Parts, _ handler: APIHandler, _ links: NetlinkEvents,
        _ source: any ServiceLifecycle.Service
    ) -> [any ServiceLifecycle.Service] {
        [
            LinkFollower(events: links, controller: controller),
            source,
            Maintenance(controller: controller),
            Collector(
                node: configuration.node, detail: configuration.flowDetail, scanInterval: configuration.scanInterval,
                sourcePorts: configuration.sourcePorts.count,
                open: { try await controller.events() }, scanner: { try await controller.scanner() },
                denials: { try await controller.denialScanner() }, answers: parts.answers,
                directory: parts.directory, hub: parts.hub, evidence: parts.evidence, counters: parts.counters,
                log: log),
            APIService(path: configuration.socket, handler: handler, log: log),
        ]
    }

    /// The largest packet that pods of this node may send; nil where there is no way out of it.
    ///
    /// Before there is a device of an overlay, it is not known what its packets are carried in: room is left for IPv6.
    public static func podMTU(_ mode: RoutingMode, _ overlay: OverlaySettings) -> UInt32? {
        guard var finder = try? EndpointFinder(), let uplinks = finder.uplinkMTU() else { return nil }
        guard mode == .vxlan else { return uplinks }
        let index = (try? finder.index(ofInterface: overlay.device)) ?? nil
        let overhead = OverlaySettings.overhead(underIPv4: false)
        return min(uplinks, index.flatMap { finder.mtus([$0]).first } ?? uplinks - min(uplinks, overhead))
    }

    /// Removes everything that Apus made on the node, the socket of a dead agent included. Fails while an agent works
    /// with the pins or listens on the socket, and keeps one that starts meanwhile from loading anything.
    ///
    /// Routes and overlays carry no sign of whose agent made them. So they go only with its pins, or where both places
    /// are those of an agent that was told of no others.
    ///
    /// - Parameter sockets: of the CLI first, and of Hubble's clients.
    /// - Returns: what it removed.
    public static func cleanUp(bpffs: String, sockets: [String]) async throws -> CleanedUp {
        try Requirements.checkUser()
        for socket in sockets.prefix(1) { try await AgentServer.expectDeserted(path: socket) }
        let isUsual = bpffs == AgentConfiguration.usualBPFFS && sockets.first == AgentConfiguration.usualSocket
        guard FileManager.default.fileExists(atPath: bpffs) else {
            let removed = CleanedUp(sockets: removeRunFiles(sockets))
            return isUsual ? try removed.withRouting() : removed
        }
        let lock = try AgentLock(directory: bpffs)
        var removed = CleanedUp(pins: try DatapathKernel.removeAll(bpffs: bpffs))
        removed.sockets = removeRunFiles(sockets)
        if isUsual || !removed.pins.isEmpty { removed = try removed.withRouting() }
        _ = consume lock
        return removed
    }

    /// Removes a dead agent's sockets and what it noted of attached pods; returns the sockets that there were.
    private static func removeRunFiles(_ sockets: [String]) -> [String] {
        if let socket = sockets.first { AttachmentStore(socket: socket).removeAll() }
        let removed = sockets.filter(StaleSocket.remove)
        if let socket = sockets.first { removeSocketDirectory(socket) }
        return removed
    }

    /// Removes the directory that agents make for their sockets, once nothing is in it any more. It is ours by its name
    /// only: no other directory that a socket was put into is removed.
    static func removeSocketDirectory(_ socket: String) {
        guard let directory = directory(of: socket), directory.hasSuffix("/apus") else { return }
        rmdir(directory)
    }

    private static func directory(of socket: String) -> String? {
        guard let slash = socket.lastIndex(of: "/"), slash != socket.startIndex else { return nil }
        return String(socket[..<slash])
    }
}

extension AgentConfiguration {
    /// What the agent calls itself to an API server.
    static var userAgent: String { "apusd/\(version)" }

    /// What was asked for that has flows in it, where nothing is told of flows.
    var emptyEvidence: [String] {
        guard flowDetail == .none else { return [] }
        return [
            exports.file.map { "the file \($0.path)" },
            exports.collector.flatMap { $0.getsLogs ? "the collector's flows" : nil },
            hubble.address.map { "Hubble at \($0)" },
        ].compactMap { $0 }
    }

    /// How often all connections are looked at: often enough to report those that live long in time.
    var scanInterval: Duration { min(.seconds(5), activeInterval) }

    /// The part of the configuration that the data path is loaded with.
    var datapathOptions: DatapathOptions {
        var options = DatapathOptions(
            bpffs: bpffs,
            capacities: TableCapacities(
                endpoints: mapSizes.endpoints, services: mapSizes.services, slots: mapSizes.slots,
                backends: mapSizes.backends, peerClasses: mapSizes.peerAddresses, peerPrefixes: mapSizes.peerPrefixes,
                policyEntries: mapSizes.policyEntries, names: mapSizes.names, connections: mapSizes.connections,
                halfOpen: mapSizes.halfOpen, affinities: mapSizes.affinities,
                learnedAddresses: mapSizes.learnedAddresses, learnedNames: mapSizes.learnedNames,
                eventBytes: mapSizes.eventRing))
        options.sourcePorts = sourcePorts
        options.directReturn = balancing.directReturn
        options.redirectsToPeer = redirectsToPeer
        options.redirectsToUplink = redirectsToUplink
        options.keepsConnections = keepsConnections
        options.flowDetail = flowDetail
        options.denialInterval = denialInterval.nanoseconds
        options.minimumNameLifetime = minimumNameLifetime.nanoseconds
        options.nameGrace = nameGrace.nanoseconds
        options.layouts = layouts
        return options
    }
}
