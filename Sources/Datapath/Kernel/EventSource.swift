public import Addressing
internal import BPF
internal import DatapathABI
public import Flows

/// The event rings of the loaded data path, with their only consumer.
public struct EventSource: ~Copyable, Sendable {
    private var ring: RingBuffer
    /// DNS answers; nobody is woken for them.
    private var answers: RingBuffer
    private let counters: BPFMap
    private var rules: RuleNames
    private var domains: AddressNames
    /// Records that could not be decoded since this was made.
    public private(set) var undecodable: UInt64 = 0

    init(
        ring: consuming RingBuffer, answers: consuming RingBuffer, counters: consuming BPFMap,
        names: consuming BPFMap, domains: consuming AddressNames
    ) {
        self.ring = ring
        self.answers = answers
        self.counters = counters
        rules = RuleNames(names)
        self.domains = domains
    }

    /// Appends up to `limit` waiting events, and as many answers, to `flows`, oldest first, with the rules that decided
    /// and without names of peers. Returns how many records were consumed.
    public mutating func drain(limit: Int, node: String, clockOffset: Int64, into flows: inout [Flow]) -> Int {
        rules.forgetMisses()
        domains.beginBatch()
        var failed: UInt64 = 0
        let count = ring.drain(limit: limit) { record in
            guard let event = try? DatapathEvent(decoding: record) else {
                failed += 1
                return
            }
            // Named in its place: a flow in a variable would be copied, which costs as much as all the rest.
            flows.append(Flow(event, node: node, clockOffset: clockOffset))
            rules.name(&flows[flows.count - 1], event, &domains)
        }
        // After the events: the answer is there that a connection among them was opened for.
        let answered = answers.drain(limit: limit) { record in
            guard let answer = try? DatapathAnswer(decoding: record) else {
                failed += 1
                return
            }
            flows.append(rules.flow(answer, node: node, clockOffset: clockOffset))
        }
        if answered > 0 { flows.sort { $0.time < $1.time } }
        undecodable += failed
        return max(count, answered)
    }

    /// Waits until the data path wakes readers, the time is over or the task is cancelled.
    public mutating func wait(atMost limit: Duration) async {
        do { _ = try await ring.waitUntilReadable(atMost: limit) } catch { try? await Task.sleep(for: limit) }
    }

    /// Events that found no room in the ring since the maps were made.
    public func lostCount() -> UInt64 {
        (try? counters.lookupSum(apus_event_counter.APUS_EVENTS_LOST.rawValue, as: UInt64.self)) ?? 0
    }

    /// How many of them have been told, by this agent or one before it.
    public func toldLosses() -> UInt64 {
        (try? counters.lookupSum(apus_event_counter.APUS_EVENTS_LOSSES_TOLD.rawValue, as: UInt64.self)) ?? 0
    }

    /// Notes how many have been told, for the agent after this one. If that fails, some will be told twice.
    public func noteToldLosses(_ count: UInt64) { write(.APUS_EVENTS_LOSSES_TOLD, count) }

    /// What was to be told and what was, since the maps were made; nil where that can't be read.
    public func evidence() -> EvidenceTotals? {
        func sum(_ counter: apus_event_counter) throws(BPFError) -> UInt64 {
            try counters.lookupSum(counter.rawValue, as: UInt64.self) ?? 0
        }
        return try? EvidenceTotals(
            connections: .init(
                due: sum(.APUS_EVENTS_OPENINGS), told: sum(.APUS_EVENTS_ENDINGS),
                taken: sum(.APUS_EVENTS_ENDINGS_TAKEN)),
            denials: .init(
                due: sum(.APUS_EVENTS_DENIED), told: sum(.APUS_EVENTS_DENIED_TOLD),
                taken: sum(.APUS_EVENTS_DENIED_TAKEN)))
    }

    /// Notes how many ends of connections and denied packets the agents have told, as `evidence` says them.
    public func noteTaken(endings: UInt64, denied: UInt64) {
        write(.APUS_EVENTS_ENDINGS_TAKEN, endings)
        write(.APUS_EVENTS_DENIED_TAKEN, denied)
    }

    /// Sets a counter that the data path does not write.
    private func write(_ counter: apus_event_counter, _ count: UInt64) {
        var values = Bytes(of: count)
        values += Bytes(zeros: (PossibleCPUs.count - 1) * MemoryLayout<UInt64>.size)
        let key = Bytes(of: counter.rawValue)
        try? counters.update(key.span.bytes, values.span.bytes)
    }

    /// An event that did not come over the ring as a flow, with the rules that decided and without names of peers.
    public mutating func flow(_ event: DatapathEvent, node: String, clockOffset: Int64) -> Flow {
        rules.flow(event, &domains, node: node, clockOffset: clockOffset)
    }

    /// An answer that did not come over the ring, likewise.
    public mutating func flow(_ answer: DatapathAnswer, node: String, clockOffset: Int64) -> Flow {
        rules.flow(answer, node: node, clockOffset: clockOffset)
    }

    /// What decided; nil when nothing names it.
    public mutating func rule(_ decision: PolicyDecision) -> RuleReference? { rules.reference(decision) }

    /// The names of an address for the pods of the policy that judged.
    public mutating func names(of address: IPAddress, for decision: PolicyDecision?) -> [String] {
        domains.texts(of: address, for: decision)
    }
}

extension DatapathKernel {
    /// The events; there may be only one consumer at a time.
    public func events() throws -> EventSource {
        EventSource(
            ring: try RingBuffer(try box("events").map), answers: try RingBuffer(try box("dns_answers").map),
            counters: try box("event_counters").map.duplicate(), names: try box("names").map.duplicate(),
            domains: try addressNames())
    }

    /// A scanner of the connections of the loaded programs, wherever their maps are pinned. Before `activate` others may
    /// still run.
    public func connectionScanner(interval: UInt64) throws -> ConnectionScanner {
        ConnectionScanner(
            established: try box("connections").map.duplicate(), halfOpen: try box("half_open").map.duplicate(),
            timeouts: options.timeouts, interval: interval)
    }

    /// A scanner of the denied packets that wait to be told; likewise.
    public func denialScanner() throws -> DenialScanner {
        DenialScanner(denials: try box("denials").map.duplicate(), interval: options.denialIntervalInForce)
    }
}

extension RuleNames {
    fileprivate mutating func flow(
        _ event: DatapathEvent, _ domains: inout AddressNames, node: String, clockOffset: Int64
    ) -> Flow {
        var flow = Flow(event, node: node, clockOffset: clockOffset)
        name(&flow, event, &domains)
        return flow
    }

    fileprivate mutating func name(_ flow: inout Flow, _ event: DatapathEvent, _ domains: inout AddressNames) {
        if let decision = event.egress { flow.egressRule = reference(decision) }
        if let decision = event.ingress { flow.ingressRule = reference(decision) }
        flow.destinationNames = domains.texts(
            of: event.tuple.destination.address, for: event.egress, at: event.time)
    }

    fileprivate mutating func flow(_ answer: DatapathAnswer, node: String, clockOffset: Int64) -> Flow {
        var flow = Flow(answer, node: node, clockOffset: clockOffset)
        if let decision = answer.egress { flow.egressRule = reference(decision) }
        return flow
    }
}
