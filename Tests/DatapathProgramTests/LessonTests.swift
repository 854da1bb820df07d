internal import Addressing
internal import BPF
internal import DatapathABI
internal import Foundation
internal import Synchronization
internal import TestSupport
internal import Testing

extension Asker {
    /// Has a program learn addresses under a name, as the agent does.
    fileprivate func teach(
        _ name: String, _ addresses: [IPAddress], end: UInt64, set: UInt32 = 1, policy: UInt32 = 0x77, time: UInt64 = 0
    ) throws -> apus_lesson_outcome? {
        var lesson = apus_lesson()
        lesson.time_ns = time
        lesson.set = set
        lesson.length = UInt32(name.utf8.count)
        lesson.policies.0 = policy
        lesson.count = UInt32(addresses.count)
        withUnsafeMutableBytes(of: &lesson.text) { $0.copyBytes(from: name.utf8) }
        var packet = [UInt8](repeating: 0, count: Int(APUS_LESSON_OFFSET)) + bytes(of: lesson)
        for address in addresses {
            packet += bytes(
                of: apus_lesson_address(
                    address: apus_address(address), end_ns: end, used_ns: 1, judged: 0, padding: 0))
        }
        return apus_lesson_outcome(rawValue: try datapath.loaded.learnNames.testRun(packet: packet).returnValue)
    }

    /// Has a program let go of the names of an address that end by then. Returns whether the address is gone.
    fileprivate func letGo(_ address: IPAddress, end: UInt64, used: UInt64 = .max) throws -> Bool {
        let key = apus_learned_key(address: apus_address(address), policy: 0x77, part: 0)
        let packet =
            [UInt8](repeating: 0, count: Int(APUS_LESSON_OFFSET))
            + bytes(of: apus_let_go(key: key, end_ns: end, used_ns: used))
        return try datapath.loaded.letGoOfNames.testRun(packet: packet).returnValue == 1
    }

    fileprivate var names: Int { get throws { try datapath.maps.learnedNames.keys(as: UInt64.self).count } }
}

private func bytes<Value: BitwiseCopyable>(of value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

/// CLOCK_MONOTONIC in nanoseconds.
private func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

@Suite("What the agent has programs learn and let go of")
struct LessonTests {
    @Test("A lesson opens its addresses, under the name that the data path would have them under")
    func learns() throws {
        let asker = try Asker()
        try asker.datapath.maps.nameSeed.update(UInt32(0), UInt64(0x5eed))
        #expect(try asker.teach("a.web.test", Asker.web, end: .max) == .APUS_LESSON_LEARNED)
        try asker.ask()
        try asker.answer()
        #expect(try asker.names == 1)
        for (number, address) in Asker.web.enumerated() {
            #expect(try asker.reaches(address, from: Port(50_000 + UInt16(number))))
        }
    }

    @Test("A name gets its set where it is held, and is not held for that")
    func set() throws {
        let asker = try Asker()
        #expect(try asker.teach("a.web.test", [], end: 0) == .APUS_LESSON_LEARNED)
        #expect(try asker.names == 0)
        _ = try asker.teach("a.web.test", Asker.web, end: .max)
        _ = try asker.teach("a.web.test", [], end: 0, set: 9)
        #expect(try !asker.reaches(Asker.web[0], from: 50_000))
        _ = try asker.teach("a.web.test", [], end: 0, set: 1)
        #expect(try asker.reaches(Asker.web[0], from: 50_001))
    }

    @Test("A name that another CPU deletes just now gets no set, which is told")
    func busyName() throws {
        let asker = try Asker()
        _ = try asker.teach("a.web.test", Asker.web, end: .max)
        let key = try #require(try asker.datapath.maps.learnedNames.keys(as: UInt64.self).first)
        var name = try #require(try asker.datapath.maps.learnedNames.lookup(key, as: apus_learned_name.self))
        name.holds = 0
        try asker.datapath.maps.learnedNames.update(key, name)
        for addresses in [[], Asker.web] {
            #expect(try asker.teach("a.web.test", addresses, end: .max, set: 9) == .APUS_LESSON_BUSY)
        }
        #expect(try asker.datapath.maps.learnedNames.lookup(key, as: apus_learned_name.self)?.set == 1)
    }

    @Test("An address goes with the last of its names, and a name with the last of its addresses")
    func letsGo() throws {
        let asker = try Asker()
        _ = try asker.teach("a.web.test", Asker.web, end: 10)
        _ = try asker.teach("b.web.test", [Asker.web[0]], end: 20, set: 2)
        #expect(try !asker.letGo(Asker.web[0], end: 15) && asker.names == 2)
        #expect(try asker.letGo(Asker.web[1], end: 15) && asker.names == 1)
        #expect(try !asker.letGo(Asker.web[0], end: 30, used: 0))
        #expect(try asker.letGo(Asker.web[0], end: 30, used: 1) && asker.names == 0)
        #expect(try !asker.isTaught)
    }

    @Test("A full map is told, and what has room is learned")
    func full() throws {
        let asker = try Asker(sizes: ["learned_addresses": 1])
        #expect(try asker.teach("a.web.test", Asker.web, end: .max) == .APUS_LESSON_NO_ROOM)
        #expect(try asker.isTaught && asker.names == 1)
    }

    @Test("Lessons about old answers look for room once a second, as other answers do")
    func oldLessons() throws {
        for attempt in 1...20 {
            let asker = try Asker(sizes: ["learned_addresses": 4])
            // They have ended, so each look for room would let go of what there is.
            for number in 1...4 { _ = try asker.teach("n\(number).web.test", [ip("203.0.113.\(number)")], end: 1) }
            let began = now()
            #expect(try asker.teach("a.web.test", [ip("203.0.113.5")], end: .max) == .APUS_LESSON_LEARNED)
            #expect(try asker.count(.APUS_DNS_COUNT_MADE_ROOM) == 4)
            for number in 6...8 { _ = try asker.teach("n\(number).web.test", [ip("203.0.113.\(number)")], end: 1) }
            // The newest answer first, as what is copied for another policy comes.
            let outcomes = try [now(), 2, 1].map { time in
                try asker.teach("b.web.test", [ip("203.0.113.9")], end: .max, time: time)
            }
            // A busy machine may let the second pass: then it was right to look again.
            if now() - began >= 1_000_000_000, attempt < 20 { continue }
            #expect(outcomes == [.APUS_LESSON_NO_ROOM, .APUS_LESSON_NO_ROOM, .APUS_LESSON_NO_ROOM])
            #expect(try asker.count(.APUS_DNS_COUNT_MADE_ROOM) == 4)
            return
        }
    }

    @Test("Nothing that was just learned is let go, however often both happen at once")
    func race() throws {
        let asker = try Asker { config in
            config.name_minimum_ns = 0
            config.name_grace_ns = 0
        }
        let isOver = Atomic(false)
        let (loaded, address) = (asker.datapath.loaded, Asker.web[0])
        let key = apus_learned_key(address: apus_address(address), policy: 0x77, part: 0)
        let letting = Thread {
            while !isOver.load(ordering: .relaxed) {
                let packet =
                    [UInt8](repeating: 0, count: Int(APUS_LESSON_OFFSET))
                    + bytes(of: apus_let_go(key: key, end_ns: now(), used_ns: .max))
                _ = try? loaded.letGoOfNames.testRun(packet: packet)
            }
        }
        letting.start()
        defer { isOver.store(true, ordering: .relaxed) }
        var repeated = 0
        for round in 0..<5_000 {
            while try !learnsAnew(asker, key, address, in: round) {
                repeated += 1
                try #require(repeated < 500, "round \(round)")
            }
        }
    }

    /// Learns an address that has ended anew while it is let go of. Returns false when that says nothing: one CPU waited
    /// in vain for the other one, which a busy machine may take away for as long as it likes.
    private func learnsAnew(
        _ asker: Asker, _ key: apus_learned_key, _ address: IPAddress, in round: Int
    ) throws -> Bool {
        let before = try asker.count(.APUS_DNS_COUNT_BUSY)
        // It has ended at once; then it is learned anew.
        for (id, lifetime) in [(UInt16(1), UInt32(0)), (2, 60)] {
            try asker.ask(id: id)
            try asker.answer(id: id, lifetime: lifetime, addresses: [address])
        }
        let held = try asker.datapath.maps.learnedAddresses.lookup(key, as: apus_learned_address.self)
        let isHeld = held.map { value in
            withUnsafeBytes(of: value.uses) { uses in
                uses.bindMemory(to: apus_learned_use.self).contains { $0.name != 0 && $0.end_ns > now() }
            }
        }
        let names = try asker.names
        let rest = try asker.letGo(address, end: .max)
        guard try asker.count(.APUS_DNS_COUNT_BUSY) == before else { return false }
        try #require(isHeld == true && names == 1, "round \(round)")
        try #require(rest || held == nil, "round \(round)")
        return true
    }
}
