internal import Addressing
internal import Datapath
internal import Flows
internal import LinuxKernel
internal import Logging
internal import ServiceLifecycle

/// Turns the data path's records into flows with names and hands them to the hub.
///
/// It polls: a wake-up for each record would cost the data path more than anything else it does. An idle ring is looked
/// at ever less often, up to `slowest`; one that fills up wakes it.
struct Collector: Service {
    /// A look costs tens of microseconds, and followers don't notice the delay. The smallest ring worth having holds what
    /// two million events a second bring meanwhile.
    static let quickest: Duration = .milliseconds(10)
    static let slowest: Duration = .milliseconds(100)
    /// Records taken at once, so that followers get them soon.
    static let batch = 4096

    let node: String
    /// What is told of flows; connections are looked at in any case.
    let detail: FlowDetail
    /// How often all connections and the denied packets that wait are looked at.
    let scanInterval: Duration
    /// How many ports the node has towards each destination of what leaves in its name.
    let sourcePorts: Int
    let open: @Sendable () async throws -> EventSource
    let scanner: @Sendable () async throws -> ConnectionScanner
    let denials: @Sendable () async throws -> DenialScanner
    /// Answers that the agent read itself.
    let answers: AnswerQueue
    let directory: FlowDirectory
    let hub: FlowHub
    let evidence: EvidenceCounters
    let counters: FlowCounters
    let log: Logger

    func run() async throws {
        try await untilShutdown {
            var worker = Worker(
                node: node, detail: detail, scanInterval: scanInterval.nanoseconds,
                ports: PortUse(capacity: sourcePorts),
                events: try await open(), scanner: try await scanner(), denials: try await denials(), answers: answers,
                directory: directory, hub: hub, evidence: evidence, counters: counters, log: log)
            var pause = Self.quickest
            while !Task.isCancelled {
                let taken = worker.collect()
                if let error = worker.scanIfDue() {
                    log.error("Connections or denied packets could not be read", metadata: ["error": "\(error)"])
                }
                if taken >= Self.batch { continue }
                pause = taken > 0 ? Self.quickest : min(pause * 2, Self.slowest)
                // Waiting on a ring that holds anything ends at once: a busy ring is left alone for a while instead.
                if taken > 0 { try await Task.sleep(for: pause) } else { await worker.wait(pause) }
            }
        }
    }
}

extension Collector {
    /// What one run of the collector keeps.
    struct Worker: ~Copyable {
        private let node: String
        private let detail: FlowDetail
        private let scanInterval: UInt64
        private var events: EventSource
        /// Nil only while it scans.
        private var scanner: ConnectionScanner?
        private let denials: DenialScanner
        private let answers: AnswerQueue
        private let directory: FlowDirectory
        private let hub: FlowHub
        private let evidence: EvidenceCounters
        private let counters: FlowCounters
        /// The batch at hand; kept for its memory.
        private var flows: [Flow] = []
        /// What was told of the kernel's losses and of unreadable records.
        private var lost: UInt64
        private var undecodable: UInt64 = 0
        private var lastScan: UInt64 = 0
        /// What agents have found in the maps and told, of ends of connections and of denied packets.
        private var taken: (endings: UInt64, denied: UInt64)
        private var ports: PortUse
        private let log: Logger

        init(
            node: String, detail: FlowDetail, scanInterval: UInt64, ports: PortUse, events: consuming EventSource,
            scanner: consuming ConnectionScanner, denials: consuming DenialScanner, answers: AnswerQueue,
            directory: FlowDirectory, hub: FlowHub, evidence: EvidenceCounters, counters: FlowCounters, log: Logger
        ) {
            self.node = node
            self.detail = detail
            self.scanInterval = scanInterval
            self.ports = ports
            self.log = log
            self.answers = answers
            self.directory = directory
            self.hub = hub
            self.evidence = evidence
            self.counters = counters
            // Those from before this start count if nobody has told them yet.
            lost = min(events.toldLosses(), events.lostCount())
            let totals = events.evidence()
            taken = (totals?.connections.taken ?? 0, totals?.denials.taken ?? 0)
            self.events = events
            self.scanner = consume scanner
            self.denials = denials
        }

        /// Takes what waits, up to one batch. Returns how many records it took.
        mutating func collect() -> Int {
            let offset = KernelClock.realtimeOffset()
            flows.removeAll(keepingCapacity: true)
            let taken = events.drain(limit: Collector.batch, node: node, clockOffset: offset, into: &flows)
            for answer in answers.take() { flows.append(events.flow(answer, node: node, clockOffset: offset)) }
            deliver(offset)
            reportLosses(offset)
            return taken
        }

        private mutating func deliver(_ offset: Int64) {
            guard !flows.isEmpty else { return }
            directory.enrich(&flows, clockOffset: offset)
            counters.count(flows)
            hub.append(flows)
        }

        private mutating func reportLosses(_ offset: Int64) {
            let inKernel = events.lostCount()
            if inKernel > lost {
                report(inKernel - lost, .kernelRing, offset)
                lost = inKernel
                // Not what is lost by now: if this agent dies, the next one tells the rest.
                events.noteToldLosses(inKernel)
            }
            let (unreadable, homeless) = (events.undecodable - undecodable, answers.takeLost())
            guard unreadable + homeless > 0 else { return }
            report(unreadable + homeless, .collector, offset)
            undecodable += unreadable
            evidence.edit {
                $0.undecodable += unreadable
                $0.lostAnswers += homeless
            }
        }

        private func report(_ count: UInt64, _ source: FlowLoss.Source, _ offset: Int64) {
            let time = KernelClock.monotonic() &+ UInt64(bitPattern: offset)
            let record = Flow.lost(count, by: source, time: time, node: node)
            counters.count([record])
            hub.append(record)
        }

        /// Reports connections that expired or live long and denied packets that nothing else reports, when it is time to.
        mutating func scanIfDue() -> MapError? {
            let now = KernelClock.monotonic()
            guard now - lastScan >= scanInterval else { return nil }
            lastScan = now
            let offset = KernelClock.realtimeOffset()
            let before = events.evidence()
            do throws(MapError) {
                let live = try scanConnections(now: now, offset: offset)
                let waiting = try scanDenials(now: now, offset: offset)
                noteUntold(before, live: live, waiting: waiting)
            } catch {
                evidence.edit { $0.failedScans += 1 }
                return error
            }
            return nil
        }

        /// Returns how many connections live on.
        private mutating func scanConnections(now: UInt64, offset: Int64) throws(MapError) -> Int {
            guard var scanner = scanner.take() else { return 0 }
            flows.removeAll(keepingCapacity: true)
            var summary = ScanSummary()
            var failure: MapError?
            do throws(MapError) {
                summary = try scanner.scan(now: now) { note($0, now: now, offset: offset) }
                notePorts(summary)
            } catch { failure = error }
            self.scanner = consume scanner
            // What was taken is told even when the rest could not be read.
            deliver(offset)
            events.noteTaken(endings: taken.endings, denied: taken.denied)
            if let failure { throw failure }
            return summary.live
        }

        /// All connections may have expired at once: they are told a batch at a time, so that memory stays bounded.
        private mutating func note(_ finding: ConnectionFinding, now: UInt64, offset: Int64) {
            if case .expired = finding { taken.endings += 1 }
            // What was told before, and waits in the ring or among the denied packets, is delivered in any case.
            if detail == .none { return }
            flows.append(flow(finding, now: now, offset: offset))
            guard flows.count >= Collector.batch else { return }
            deliver(offset)
            flows.removeAll(keepingCapacity: true)
        }

        private mutating func notePorts(_ summary: ScanSummary) {
            for destination in ports.note(summary.portsInUse) {
                log.warning(
                    "The node's ports towards a destination are about to run out",
                    metadata: ["destination": "\(destination)", "what": "\(ports.message(destination))"])
            }
            evidence.edit { [ports] in
                $0.scan = summary
                $0.ports = ports
            }
        }

        /// Returns how many packets wait on.
        private mutating func scanDenials(now: UInt64, offset: Int64) throws(MapError) -> UInt64 {
            var found: [DatapathEvent] = []
            // What was taken is told even when the rest could not be read.
            defer {
                flows = found.map { event in events.flow(event, node: node, clockOffset: offset) }
                deliver(offset)
                taken.denied += found.reduce(0) { $0 + $1.forward.packets + $1.reverse.packets }
                events.noteTaken(endings: taken.endings, denied: taken.denied)
            }
            return try denials.scan(now: now) { found.append($0) }
        }

        private func noteUntold(_ before: EvidenceTotals?, live: Int, waiting: UInt64) {
            guard let before, let after = events.evidence() else { return }
            evidence.edit {
                $0.untoldConnections.note(
                    before: before.connections, after: after.connections, waiting: UInt64(live))
                $0.untoldDenials.note(before: before.denials, after: after.denials, waiting: waiting)
            }
        }

        private mutating func flow(_ finding: ConnectionFinding, now: UInt64, offset: Int64) -> Flow {
            let (record, ending): (ConnectionRecord, Datapath.Ending?) =
                switch finding {
                case .expired(let record, let ending): (record, ending)
                case .active(let record): (record, nil)
                }
            var flow = Flow(record, ending: ending, now: now, node: node, clockOffset: offset)
            flow.egressRule = record.source.decision.flatMap { events.rule($0) }
            flow.ingressRule = record.destination.decision.flatMap { events.rule($0) }
            flow.destinationNames = events.names(
                of: record.tuple.destination.address, for: record.source.decision)
            return flow
        }

        /// Sleeps for a while, or until the data path says that the ring fills up.
        mutating func wait(_ pause: Duration) async { await events.wait(atMost: pause) }
    }
}
