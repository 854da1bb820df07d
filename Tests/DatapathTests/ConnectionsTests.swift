import Addressing
import BPF
@testable import Datapath
import DatapathABI
import Testing

private let second: UInt64 = 1_000_000_000

private func closed(_ connection: inout apus_connection) { connection.flags |= UInt8(APUS_CONNECTION_CLOSED.rawValue) }

private func record(_ connection: apus_connection, isHalfOpen: Bool = false, protocol ipProtocol: UInt8 = 6) throws
    -> ConnectionRecord
{
    try ConnectionRecord(Raw.connectionKey(protocol: ipProtocol), connection, isHalfOpen: isHalfOpen)
}

@Suite struct ConnectionsTests {
    @Test("The opener is the source, whichever end of the key it is", arguments: [UInt8(0), 1])
    func opener(index: UInt8) throws {
        let found = try record(
            Raw.connection(opened: 1, seen: 2) {
                $0.opener = index
                $0.sides.0.packets = 10
                $0.sides.1.packets = 20
            })
        let low = SocketAddress(address("10.1.0.1"), 40000)
        let high = SocketAddress(address("10.1.0.2"), 80)
        #expect(found.tuple.source == (index == 0 ? low : high))
        #expect(found.tuple.destination == (index == 0 ? high : low))
        #expect(found.source.sent.packets == (index == 0 ? 10 : 20))
        #expect(found.destination.sent.packets == (index == 0 ? 20 : 10))
    }

    @Test("The state follows from the map, the flags and the FINs seen")
    func states() throws {
        let plain = Raw.connection(opened: 1, seen: 2)
        let finished = Raw.connection(opened: 1, seen: 2) { $0.sides.1.tcp_flags = 0x11 }
        let ended = Raw.connection(opened: 1, seen: 2, closed)
        #expect(try record(plain, isHalfOpen: true).state == .halfOpen)
        #expect(try record(plain).state == .established)
        #expect(try record(finished).state == .closing)
        #expect(try record(finished, protocol: 17).state == .established)
        #expect(try record(ended).state == .closed)
        #expect(try record(ended, isHalfOpen: true).state == .closed)
    }

    @Test("A connection reads as one line")
    func text() throws {
        let found = try record(
            Raw.connection(opened: 1_000, seen: 4_000) {
                $0.frontend = Raw.address("10.96.0.10")
                $0.frontend_port = UInt16(80).bigEndian
                $0.flags = UInt8(APUS_CONNECTION_TRANSLATED.rawValue)
                $0.sides.0 = apus_connection_side(
                    packets: 3, bytes: 300, endpoint: 4, identity: 17, generation: 2, policy: 0xc0ffee, rule: 1,
                    tcp_flags: 0x12, flags: 0, retransmissions: 7)
            })
        #expect(
            "\(found)" == """
                TCP 10.1.0.1:40000 -> 10.1.0.2:80 established translated frontend 10.96.0.10:80 opened 1000 seen 4000 \
                source [3/300 endpoint 4#17 generation 2 by 00c0ffee/1 tcp-flags SA retransmissions 7] destination [0/0]
                """)
        #expect(found.age(now: 5_000) == 4_000)
        #expect(found.idle(now: 3_000) == 0)
        let event = found.event(.closed, time: 9_000, ending: .expired)
        #expect(event.direction == .egress)
        #expect(event.egress == found.source.decision)
        #expect(event.age == 8_000)
    }

    @Test("No bytes of any length trap")
    func randomBytes() {
        var random = SeededNumbers(7)
        for _ in 0..<20_000 {
            let isWhole = Bool.random(using: &random)
            let key = random.bytes(isWhole ? 40 : Int.random(in: 0...80, using: &random))
            let value = random.bytes(isWhole ? 120 : Int.random(in: 0...240, using: &random))
            let found = try? ConnectionRecord(key: key.span.bytes, value: value.span.bytes, isHalfOpen: isWhole)
            _ = (found?.description, found?.age(now: 0), found?.idle(now: .max), found?.endingWhenExpired)
        }
    }
}

@Suite struct ConnectionsScanTests {
    /// Puts one connection into a map and says what a scan at second 10,000 makes of it.
    private func scanOnce(
        _ connection: apus_connection, protocol ipProtocol: UInt8 = 6, in map: PinnedMap = .connections
    ) throws -> (findings: [ConnectionFinding], isLeft: Bool) {
        let maps = try ReaderMaps()
        let key = Raw.connectionKey(protocol: ipProtocol)
        try maps.write(map, key, connection)
        var scanner = try ConnectionScanner(bpffs: maps.bpffs)
        var findings: [ConnectionFinding] = []
        try scanner.scan(now: 10_000 * second) { findings.append($0) }
        return (findings, try maps.open(map).lookup(key, as: apus_connection.self) != nil)
    }

    @Test(
        "Each kind of connection expires after its own time",
        arguments: [
            (PinnedMap.connections, UInt8(6), 8000), (.connections, 132, 8000), (.connections, 17, 60),
            (.connections, 1, 60), (.halfOpen, 6, 60), (.halfOpen, 17, 60),
        ])
    func timeouts(map: PinnedMap, ipProtocol: UInt8, seconds: Int) throws {
        let limit = 10_000 * second - UInt64(seconds) * second
        let alive = try scanOnce(Raw.connection(opened: 1, seen: limit), protocol: ipProtocol, in: map)
        #expect(alive.findings.isEmpty)
        #expect(alive.isLeft)
        let expired = try scanOnce(Raw.connection(opened: 1, seen: limit - 1), protocol: ipProtocol, in: map)
        #expect(!expired.isLeft)
        guard case .expired(let record, .expired)? = expired.findings.first else {
            Issue.record("not expired: \(expired.findings)")
            return
        }
        #expect(record.lastSeenAt == limit - 1)
        #expect(record.state == (map == .halfOpen ? .halfOpen : .established))
    }

    @Test("A connection whose end was reported goes without a word")
    func closedConnection() throws {
        let alive = try scanOnce(Raw.connection(opened: 1, seen: 9_995 * second, closed))
        #expect(alive.findings.isEmpty)
        #expect(alive.isLeft)
        let expired = try scanOnce(Raw.connection(opened: 1, seen: 9_980 * second, closed))
        #expect(expired.findings.isEmpty)
        #expect(!expired.isLeft)
    }

    @Test("A connection that both ends finished has finished, even if the last packet was never seen")
    func finished() throws {
        let connection = Raw.connection(opened: 1, seen: 1) {
            $0.sides.0.tcp_flags = 0x13
            $0.sides.1.tcp_flags = 0x11
        }
        guard case .expired(_, .finished)? = try scanOnce(connection).findings.first else {
            Issue.record("not finished")
            return
        }
    }

    @Test("A packet later than the scan's clock keeps a connection")
    func laterPacket() throws {
        let scan = try scanOnce(Raw.connection(opened: 1, seen: 10_001 * second))
        #expect(scan.findings.isEmpty)
        #expect(scan.isLeft)
    }

    @Test("A live connection is reported once in each interval, from its own beginning on")
    func active() throws {
        let maps = try ReaderMaps()
        var scanner = try ConnectionScanner(bpffs: maps.bpffs, interval: 60 * second)
        try maps.write(.connections, Raw.connectionKey(1), Raw.connection(opened: 100 * second, seen: 1000 * second))
        try maps.write(.connections, Raw.connectionKey(2), Raw.connection(opened: 130 * second, seen: 1000 * second))
        try maps.write(.connections, Raw.connectionKey(3), Raw.connection(opened: 1, seen: 1000 * second, closed))
        try maps.write(.halfOpen, Raw.connectionKey(4), Raw.connection(opened: 1, seen: 1000 * second))
        var reports: [[Port]] = []
        for now in stride(from: UInt64(155), through: 225, by: 10) {
            var ports: [Port] = []
            try scanner.scan(now: now * second) { finding in
                if case .active(let record) = finding { ports.append(record.tuple.source.port) }
            }
            reports.append(ports.sorted())
        }
        // Times 155, 165, …: the first connection is due at 160 and 220, the second at 190.
        #expect(reports == [[], [1], [], [], [2], [], [], [1]])
    }

    @Test("A connection that had a packet since it was read stays", arguments: [false, true])
    func revived(isReopened: Bool) throws {
        let maps = try ReaderMaps()
        let keys = (0..<8).map { Raw.connectionKey(UInt16($0)) }
        for key in keys { try maps.write(.connections, key, Raw.connection(opened: 1, seen: 1)) }
        var scanner = try ConnectionScanner(bpffs: maps.bpffs)
        let renewed = Raw.connection(opened: isReopened ? 9_999 * second : 1, seen: isReopened ? 1 : 9_999 * second)
        var expired = 0
        // The scan reads all eight at once and then goes through them: touching the others within the first finding
        // is touching them between the reading and the deleting.
        let summary = try scanner.scan(now: 10_000 * second) { _ in
            expired += 1
            for key in keys { try? maps.open(.connections).update(key, renewed, rule: .onlyExisting) }
        }
        #expect(expired == 1)
        #expect(summary.deleted == 1)
        #expect(summary.revived == 7)
        #expect(try maps.open(.connections).keys(as: apus_connection_key.self).count == 7)
    }

    @Test("An entry whose bytes make no sense is deleted with its time and not reported")
    func nonsense() throws {
        let scan = try scanOnce(Raw.connection(opened: 1, seen: 1) { $0.opener = 7 })
        #expect(scan.findings.isEmpty)
        #expect(!scan.isLeft)
    }

    @Test("Without maps a scanner says so")
    func missing() throws {
        let maps = try ReaderMaps(without: [.halfOpen])
        #expect(throws: MapError.self) { _ = try ConnectionScanner(bpffs: maps.bpffs) }
    }
}
