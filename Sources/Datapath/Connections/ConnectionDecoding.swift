internal import Addressing
internal import DatapathABI

extension ConnectionRecord {
    /// Decodes an entry's key and value without allocating.
    init(key: borrowing RawSpan, value: borrowing RawSpan, isHalfOpen: Bool) throws(RecordError) {
        let (keySize, valueSize) = (MemoryLayout<apus_connection_key>.size, MemoryLayout<apus_connection>.size)
        guard key.byteCount == keySize else { throw RecordError(.length(key.byteCount, expected: keySize)) }
        guard value.byteCount == valueSize else { throw RecordError(.length(value.byteCount, expected: valueSize)) }
        // Integers only: every pattern of bits is a value.
        try self.init(
            key.unsafeLoadUnaligned(as: apus_connection_key.self),
            value.unsafeLoadUnaligned(as: apus_connection.self), isHalfOpen: isHalfOpen)
    }

    init(_ key: apus_connection_key, _ value: apus_connection, isHalfOpen: Bool) throws(RecordError) {
        guard value.opener <= 1 else { throw RecordError(.unknown(field: .opener, value.opener)) }
        let low = SocketAddress(key.low.address, key.low_port.bigEndian)
        let high = SocketAddress(key.high.address, key.high_port.bigEndian)
        let isHigh = value.opener == 1
        let ipProtocol = IPProtocol(rawValue: key.protocol)
        tuple = FlowTuple(
            source: isHigh ? high : low, destination: isHigh ? low : high, ipProtocol: ipProtocol)
        frontend = SocketAddress(frontend: value.frontend, value.frontend_port)
        openedAt = value.opened_ns
        lastSeenAt = value.last_seen_ns
        source = ConnectionSide(isHigh ? value.sides.1 : value.sides.0)
        destination = ConnectionSide(isHigh ? value.sides.0 : value.sides.1)
        isReset = value.has(APUS_CONNECTION_RESET)
        isTranslated = value.has(APUS_CONNECTION_TRANSLATED)
        isSocketTranslated = value.has(APUS_CONNECTION_SOCKET_TRANSLATED)
        icmp = ICMPTypeAndCode(
            ipProtocol, type: UInt8(truncatingIfNeeded: value.detail), code: UInt8(value.detail >> 8))
        handshake = ipProtocol == .tcp ? HandshakeTime.nanoseconds(value.detail) : nil
        nodePort = value.source_port == 0 ? nil : value.source_port.bigEndian
        ownPort = (isHigh ? value.sides.1 : value.sides.0).ownPort
        let hasFinished = ipProtocol == .tcp && (source.tcpFlags | destination.tcpFlags) & Self.fin != 0
        state =
            value.has(APUS_CONNECTION_CLOSED)
            ? .closed
            : isHalfOpen || value.has(APUS_CONNECTION_UNANSWERED) ? .halfOpen : hasFinished ? .closing : .established
    }
}

/// How the data path writes the time of a handshake.
enum HandshakeTime {
    /// In nanoseconds; nil: not known.
    static func nanoseconds(_ detail: UInt16) -> UInt64? {
        let (shift, units) = (detail >> UInt16(APUS_HANDSHAKE_BITS), detail & (1 << UInt16(APUS_HANDSHAKE_BITS) - 1))
        return units == 0 ? nil : UInt64(units) << UInt64(shift) * UInt64(APUS_HANDSHAKE_UNIT_NS)
    }
}

extension apus_connection {
    func has(_ flag: apus_connection_flag) -> Bool { UInt32(flags) & UInt32(flag.rawValue) != 0 }
}

extension ConnectionSide {
    init(_ side: apus_connection_side) {
        self.init(
            sent: TrafficCount(packets: side.packets, bytes: side.bytes),
            endpoint: EndpointReference(abiSlot: side.endpoint, identity: side.identity), generation: side.generation,
            decision: PolicyDecision(abiPolicy: side.policy, rule: side.rule),
            tcpFlags: UInt8(truncatingIfNeeded: side.tcp_flags),
            retransmissions: side.ownPort == nil ? side.retransmissions : 0)
    }
}

extension apus_connection_side {
    /// The port that the side sends from, where the key has another one for it.
    fileprivate var ownPort: Port? {
        UInt32(flags) & APUS_SIDE_OTHER_PORT.rawValue == 0 ? nil : retransmissions.bigEndian
    }
}
