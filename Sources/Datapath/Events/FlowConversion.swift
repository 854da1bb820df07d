internal import Addressing
public import Flows

extension Flow {
    /// An event as a flow, without names yet.
    ///
    /// - Parameter clockOffset: what to add to the monotonic clock to get the time since 1970, in nanoseconds.
    public init(_ event: DatapathEvent, node: String, clockOffset: Int64) {
        self.init(
            time: event.epochTime(offset: clockOffset), kind: Kind(event.kind),
            verdict: Verdict(event.kind), direction: Direction(event.direction),
            tuple: event.tuple, node: node)
        sourceNumber = event.source?.identity ?? 0
        destinationNumber = event.destination?.identity ?? 0
        service = event.frontend.map { FlowService(frontend: $0) }
        dropReason = event.reason?.text
        ending = event.ending.map(Ending.init)
        duration = event.kind == .closed ? event.age : nil
        counters = FlowCounters(forward: FlowCounters.Way(event.forward), reverse: FlowCounters.Way(event.reverse))
        tcpFlags = event.tuple.ipProtocol == .tcp ? TCPFlags(rawValue: event.tcpFlags) : nil
        icmp = event.icmp.map { ICMPMessage(type: $0.type, code: $0.code) }
        handshake = event.handshake
        retransmissions = FlowRetransmissions(event.retransmissions)
        count = event.kind == .denied || event.kind == .audited ? UInt64(max(1, event.count)) : 1
    }

    /// A question to a resolver and its answer as a flow, without names of peers and rules yet.
    public init(_ answer: DatapathAnswer, node: String, clockOffset: Int64) {
        self.init(
            time: answer.time.addingClockOffset(clockOffset), kind: .dns, verdict: .forwarded, direction: .egress,
            tuple: answer.tuple, node: node)
        sourceNumber = answer.client?.identity ?? 0
        service = answer.frontend.map { FlowService(frontend: $0) }
        dns = DNSAnswer(
            query: answer.name, type: answer.type, code: answer.code, addresses: answer.addresses,
            addressCount: answer.addressCount, lifetime: answer.lifetime, latency: answer.latency,
            isTruncated: answer.isTruncated, isAnswered: answer.isAnswered)
    }

    /// A connection that a scan found, ended or still alive.
    public init(
        _ record: ConnectionRecord, ending: Datapath.Ending?, now: UInt64, node: String, clockOffset: Int64
    ) {
        let isLocal = record.source.endpoint != nil
        self.init(
            time: now &+ UInt64(bitPattern: clockOffset), kind: ending == nil ? .active : .closed, verdict: .forwarded,
            direction: isLocal ? .egress : .ingress, tuple: record.tuple, node: node)
        sourceNumber = record.source.endpoint?.identity ?? 0
        destinationNumber = record.destination.endpoint?.identity ?? 0
        service = record.frontend.map { FlowService(frontend: $0) }
        self.ending = ending.map(Ending.init)
        let last = ending == nil ? now : record.lastSeenAt
        duration = last > record.openedAt ? last - record.openedAt : 0
        counters = FlowCounters(
            forward: FlowCounters.Way(record.source.sent), reverse: FlowCounters.Way(record.destination.sent))
        let flags = record.source.tcpFlags | record.destination.tcpFlags
        tcpFlags = record.tuple.ipProtocol == .tcp ? TCPFlags(rawValue: flags) : nil
        icmp = record.icmp.map { ICMPMessage(type: $0.type, code: $0.code) }
        handshake = record.handshake
        retransmissions = FlowRetransmissions(
            Retransmissions(
                forward: record.source.retransmissions, reverse: record.destination.retransmissions))
    }
}

extension FlowRetransmissions {
    /// Nil where there were none.
    fileprivate init?(_ counts: Retransmissions) {
        if counts == Retransmissions() { return nil }
        self.init(forward: UInt64(counts.forward), reverse: UInt64(counts.reverse))
    }
}

extension Flow.Kind {
    fileprivate init(_ kind: EventKind) {
        switch kind {
        case .opened: self = .opened
        case .denied: self = .denied
        case .closed: self = .closed
        case .audited: self = .audited
        case .packet: self = .packet
        }
    }
}

extension Flow.Verdict {
    fileprivate init(_ kind: EventKind) {
        switch kind {
        case .opened, .closed, .packet: self = .forwarded
        case .denied: self = .dropped
        case .audited: self = .audit
        }
    }
}

extension Flow.Direction {
    fileprivate init(_ direction: TrafficDirection) {
        switch direction {
        case .egress: self = .egress
        case .ingress: self = .ingress
        }
    }
}

extension Flow.Ending {
    fileprivate init(_ ending: Datapath.Ending) {
        switch ending {
        case .finished: self = .fin
        case .reset: self = .reset
        case .expired: self = .timeout
        case .replaced: self = .replaced
        }
    }
}

extension FlowCounters.Way {
    fileprivate init(_ count: TrafficCount) { self.init(packets: count.packets, bytes: count.bytes) }
}
