internal import Addressing
internal import DatapathABI

extension DatapathEvent {
    /// Bytes of a record in the ring buffer; all have this length.
    public static var recordLength: Int { MemoryLayout<apus_event>.size }

    /// Decodes a record without allocating.
    public init(decoding record: borrowing RawSpan) throws(RecordError) {
        guard record.byteCount == Self.recordLength else {
            throw RecordError(.length(record.byteCount, expected: Self.recordLength))
        }
        // Integers only: every pattern of bits is a value.
        try self.init(record.unsafeLoadUnaligned(as: apus_event.self))
    }

    private init(_ raw: apus_event) throws(RecordError) {
        let numbers = try EventNumbers(raw)
        let tuple = FlowTuple(
            source: SocketAddress(raw.source.address, raw.source_port.bigEndian),
            destination: SocketAddress(raw.destination.address, raw.destination_port.bigEndian),
            ipProtocol: IPProtocol(rawValue: raw.protocol))
        self.init(kind: numbers.kind, time: raw.time_ns, tuple: tuple, direction: numbers.direction)
        openedAt = raw.opened_ns == 0 ? nil : raw.opened_ns
        frontend = SocketAddress(frontend: raw.frontend, raw.frontend_port)
        forward = TrafficCount(packets: raw.forward_packets, bytes: raw.forward_bytes)
        reverse = TrafficCount(packets: raw.reverse_packets, bytes: raw.reverse_bytes)
        // The ABI leaves room for the ninth flag of RFC 9768; the data path keeps the header's byte.
        tcpFlags = UInt8(truncatingIfNeeded: raw.tcp_flags)
        source = EndpointReference(abiSlot: raw.source_endpoint, identity: raw.source_identity)
        destination = EndpointReference(abiSlot: raw.destination_endpoint, identity: raw.destination_identity)
        egress = PolicyDecision(abiPolicy: raw.egress_policy, rule: raw.egress_rule)
        ingress = PolicyDecision(abiPolicy: raw.ingress_policy, rule: raw.ingress_rule)
        count = raw.count
        reason = numbers.reason
        ending = numbers.ending
        icmp = ICMPTypeAndCode(tuple.ipProtocol, type: raw.icmp_type, code: raw.icmp_code)
        handshake = HandshakeTime.nanoseconds(raw.handshake)
        retransmissions = Retransmissions(forward: raw.forward_retransmissions, reverse: raw.reverse_retransmissions)
    }
}

/// The fields of a record that hold only certain numbers.
private struct EventNumbers {
    let kind: EventKind
    let direction: TrafficDirection
    let reason: DropReason?
    let ending: Ending?

    init(_ raw: apus_event) throws(RecordError) {
        guard let kind = EventKind(rawValue: raw.kind) else { throw RecordError(.unknown(field: .kind, raw.kind)) }
        guard let direction = TrafficDirection(rawValue: raw.direction) else {
            throw RecordError(.unknown(field: .direction, raw.direction))
        }
        self.kind = kind
        self.direction = direction
        reason = DropReason(rawValue: raw.reason)
        ending = Ending(rawValue: raw.ending)
        if reason == nil, raw.reason != 0 { throw RecordError(.unknown(field: .reason, raw.reason)) }
        if ending == nil, raw.ending != 0 { throw RecordError(.unknown(field: .ending, raw.ending)) }
    }
}

extension SocketAddress {
    /// Nil when no Service was asked for.
    init?(frontend address: apus_address, _ port: UInt16) {
        if address.isAbsent { return nil }
        self.init(address.address, port.bigEndian)
    }
}

extension ICMPTypeAndCode {
    /// Nil for other protocols.
    init?(_ ipProtocol: IPProtocol, type: UInt8, code: UInt8) {
        guard ipProtocol == .icmp || ipProtocol == .icmpv6 else { return nil }
        self.init(type: type, code: code)
    }
}
