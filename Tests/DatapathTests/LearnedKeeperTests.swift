import BPF
import DatapathABI
import NetworkPolicy
import Testing

@testable import Datapath

@Suite("What is kept of learned addresses")
struct LearnedKeeperTests {
    private let policies: Set<PolicyID> = [PolicyID(rawValue: HeldMaps.policy)]

    @Test("What has ended goes, unless a connection leads to it; so does what was learned for a policy that is gone")
    func ended() throws {
        let maps = try HeldMaps()
        try maps.learn(1, end: 100 * second)
        try maps.learn(2, end: 10 * second)
        try maps.learn(3, end: 10 * second)
        try maps.learn(4, end: 100 * second, policy: 8)
        try maps.connect(3)
        try maps.connect(4)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50 * second, policies: policies)
        #expect(try maps.held == [1, 3])
        #expect(keeper.counts.expired == 2 && keeper.counts.addresses == 2 && keeper.counts.evicted == 0)
        #expect(keeper.counts.names == 2)
    }

    @Test("A connection that has ended and is silent, or whose time is over, keeps nothing, though its entry is there")
    func deadConnections() throws {
        let maps = try HeldMaps()
        for number in 1...10 { try maps.learn(UInt64(number), end: 10 * second) }
        // The clock that packets are noted by may be behind.
        let now = 10_000 * second
        let past = now - second / 10
        try maps.connect(1, seen: past - 8_000 * second)
        try maps.connect(2, seen: past - 8_000 * second - 1)
        try maps.connect(3, seen: past - second - 1, flags: APUS_CONNECTION_CLOSED)
        try maps.connect(4, seen: past - 60 * second, protocol: 17)
        try maps.connect(5, seen: past - 60 * second - 1, protocol: 17)
        try maps.connect(6, seen: past - 60 * second, isHalfOpen: true)
        try maps.connect(7, seen: past - 60 * second - 1, isHalfOpen: true)
        try maps.connect(8, seen: past - 60 * second - 1, flags: APUS_CONNECTION_UNANSWERED)
        // Of several the one that lives counts.
        try maps.connect(9, seen: past - 2 * second, flags: APUS_CONNECTION_CLOSED)
        try maps.connect(9, seen: past, protocol: 17)
        var keeper = try maps.keeper()
        try keeper.sweep(now: now, policies: policies)
        #expect(try maps.held == [1, 4, 6, 9])
    }

    @Test("A connection that goes on behind a forged end keeps its address, until nothing comes of it any more")
    func forgedEnd() throws {
        let maps = try HeldMaps(capacity: 16)
        for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: UInt64(number)) }
        // Those that were not used for the longest time; packets go on behind the reset.
        for number in 1...4 { try maps.connect(UInt64(number), seen: 50 * second, flags: APUS_CONNECTION_CLOSED) }
        var keeper = try maps.keeper()
        try keeper.sweep(now: 51 * second, policies: policies)
        #expect(try maps.held == Set(1...4).union(8...15))
        for number in 16...18 { try maps.learn(UInt64(number), end: .max, used: UInt64(number)) }
        try keeper.sweep(now: 52 * second, policies: policies)
        #expect(try maps.held == Set(4...4).union(8...18))
    }

    @Test("Where a live connection leads to every address nothing can go, which is told; when one ends its address can")
    func allLive() throws {
        for share in [16, nil] as [Int?] {
            let maps = try HeldMaps(capacity: share == nil ? 16 : 64, share: share)
            for number in 1...15 {
                try maps.learn(UInt64(number), end: .max, used: UInt64(number))
                try maps.connect(UInt64(number))
            }
            var keeper = try maps.keeper()
            let stuck = try keeper.sweep(now: 10 * second, policies: policies)
            #expect(stuck.heldPolicies == policies && stuck.evicted.isEmpty)
            #expect(stuck.areMapsHeld == (share == nil) && !keeper.isUnsettled && keeper.counts.evicted == 0)
            #expect(keeper.counts.held == (share == nil ? 2 : 1))
            try maps.connect(5, seen: 8 * second, flags: APUS_CONNECTION_CLOSED)
            let room = try keeper.sweep(now: 10 * second, policies: policies)
            #expect(room.evicted == [PolicyID(rawValue: HeldMaps.policy): 1])
            #expect(room.heldPolicies.isEmpty && !room.areMapsHeld)
            #expect(try maps.held == Set(1...15).subtracting([5]))
        }
    }

    @Test("Of an address that is held the names go that have ended, unless a connection leads to it")
    func someEnded() throws {
        let maps = try HeldMaps()
        for number in [1, 2] as [UInt64] {
            try maps.learn(number, "a\(number).test", end: 10 * second)
            try maps.learn(number, "b\(number).test", end: 100 * second)
        }
        try maps.connect(2)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50 * second, policies: policies)
        #expect(try maps.held == [1, 2] && keeper.counts.names == 3 && keeper.counts.expired == 0)
    }

    @Test("An address with many names goes with all its parts, and not before")
    func parts() throws {
        let maps = try HeldMaps()
        for number in 0..<20 {
            let end = (number == 19 ? 100 : 10) * second
            try maps.learn(1, "n\(number).test", set: UInt32(number + 1), end: end)
        }
        #expect(try maps.addresses.keys(as: apus_learned_key.self).count == 3)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50 * second, policies: policies)
        #expect(try maps.addresses.keys(as: apus_learned_key.self).map(\.part).sorted() == [0, 2])
        #expect(keeper.counts.names == 1)
        try keeper.sweep(now: 150 * second, policies: policies)
        #expect(try maps.held == [] && keeper.counts.names == 0)
    }

    @Test("Names that are nearly too many let go of addresses, too")
    func manyNames() throws {
        let maps = try HeldMaps(nameCapacity: 16)
        for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: UInt64(number)) }
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50 * second, policies: policies)
        #expect(try maps.held == Set(4...15))
        #expect(keeper.counts.evicted == 3 && keeper.counts.names == 12)
    }

    @Test("It is pressing to look when an eighth of a map was learned since the last look")
    func pressing() throws {
        let maps = try HeldMaps()
        var keeper = try maps.keeper()
        for counter in [apus_dns_counter.APUS_DNS_COUNT_ADDRESSES, .APUS_DNS_COUNT_LEARNED] {
            let before = keeper.isPressing
            try maps.count(counter, 9)
            let after = keeper.isPressing
            #expect(!before && after)
            try keeper.sweep(now: 50, policies: policies)
        }
    }

    @Test("A name that nobody holds and nobody deleted goes after a while")
    func lostName() throws {
        let maps = try HeldMaps()
        var name = apus_learned_name()
        name.seen_ns = 1
        try maps.names.update(UInt64(9), name)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50, policies: policies)
        #expect(keeper.counts.names == 1)
        try keeper.sweep(now: 100 * second, policies: policies)
        #expect(keeper.counts.names == 0)
    }

    @Test("A map that is nearly full lets go of what was not used for the longest time, and of nothing live")
    func nearlyFull() throws {
        let maps = try HeldMaps(capacity: 16)
        for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: UInt64(number)) }
        try maps.connect(2)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 10 * second, policies: policies)
        #expect(try maps.held == Set(2...15).subtracting([3, 4]))
        #expect(keeper.counts.evicted == 3 && !keeper.isUnsettled)
    }

    @Test("What was used within the last second stays, as a connection may have opened by it, and goes at a later look")
    func justUsed() throws {
        let maps = try HeldMaps(capacity: 16)
        for number in 1...14 { try maps.learn(UInt64(number), end: .max, used: 10 * second + UInt64(number)) }
        try maps.learn(15, end: .max, used: second)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 10 * second + 50, policies: policies)
        #expect(try maps.held == Set(1...14) && keeper.isUnsettled)
        try keeper.sweep(now: 10 * second + 50, policies: policies)
        #expect(try maps.held == Set(1...14) && !keeper.isUnsettled)
        try maps.learn(15, end: .max, used: 10 * second)
        try keeper.sweep(now: 12 * second, policies: policies)
        #expect(try maps.held == Set(3...14) && !keeper.isUnsettled)
    }

    @Test("Where everything was used a moment ago at two looks in a row, that nothing can go is told, and counted")
    func alwaysUsed() throws {
        for share in [16, nil] as [Int?] {
            let maps = try HeldMaps(capacity: share == nil ? 16 : 64, share: share)
            var keeper = try maps.keeper()
            for time in [10, 11, 12] as [UInt64] {
                for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: time * second) }
                let room = try keeper.sweep(now: time * second + 50, policies: policies)
                #expect(room.heldPolicies == (time == 10 ? [] : policies) && room.evicted.isEmpty)
                #expect(room.areMapsHeld == (time > 10 && share == nil) && keeper.isUnsettled)
            }
            #expect(keeper.counts.held == (share == nil ? 4 : 2) && keeper.counts.evicted == 0)
            let room = try keeper.sweep(now: 20 * second, policies: policies)
            #expect(room.evicted.count == 1 && room.heldPolicies.isEmpty && !keeper.isUnsettled)
        }
    }

    @Test("A policy with nearly all of its share lets go of its own addresses, and of nobody else's")
    func share() throws {
        let maps = try HeldMaps(share: 16)
        for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: UInt64(100 + number)) }
        for number in 21...30 { try maps.learn(UInt64(number), end: .max, used: UInt64(number), policy: 8) }
        try maps.connect(2)
        var keeper = try maps.keeper()
        let room = try keeper.sweep(
            now: 10 * second, policies: [PolicyID(rawValue: HeldMaps.policy), PolicyID(rawValue: 8)])
        #expect(room.evicted == [PolicyID(rawValue: HeldMaps.policy): 3] && room.heldPolicies.isEmpty)
        #expect(try maps.held == Set(2...15).subtracting([3, 4]).union(21...30))
        // What is gone is counted no more: as much finds room again.
        for number in 31...34 { #expect(try maps.learn(UInt64(number), end: .max) == .APUS_LESSON_LEARNED) }
        #expect(try maps.learn(35, end: .max) == .APUS_LESSON_NO_ROOM)
        try keeper.sweep(now: 50, policies: [PolicyID(rawValue: HeldMaps.policy)])
        try keeper.sweep(now: 50, policies: [PolicyID(rawValue: HeldMaps.policy)])
        #expect(try maps.shares.keys(as: UInt32.self) == [HeldMaps.policy])
    }

    @Test("A copy ends at the first lesson that finds no room, and what is for another policy goes on")
    func copyEnds() throws {
        let maps = try HeldMaps(capacity: 64, share: 4)
        for number in 1...4 { try maps.learn(UInt64(number), end: .max) }
        for number in 5...6 { try maps.learn(UInt64(number), end: .max, policy: 8) }
        try maps.learn(7, end: .max, policy: 9)
        let held = try maps.addresses.learnedAddresses().filter { $0.key.policy != 8 }
        let names = Dictionary(uniqueKeysWithValues: try maps.names.learnedNames().map { ($0.key, $0.record) })
        let before = try maps.counters.lookupSum(apus_dns_counter.APUS_DNS_COUNT_POLICY_SHARE.rawValue) ?? 0
        // The other policy has room for two of the four.
        let missed = try maps.teacher.learn(held, names, policy: { $0 == 7 ? 8 : $0 }, set: { $0.set })
        #expect(missed == 2)
        let after = try maps.counters.lookupSum(apus_dns_counter.APUS_DNS_COUNT_POLICY_SHARE.rawValue) ?? 0
        #expect(after == before + 1)
    }

    @Test("A map without room for it is told, and an address that is held takes more names")
    func fullMap() throws {
        let maps = try HeldMaps(capacity: 1)
        #expect(try maps.learn(1, end: .max) == .APUS_LESSON_LEARNED)
        #expect(try maps.learn(1, "other.test", end: .max) == .APUS_LESSON_LEARNED)
        #expect(try maps.learn(2, end: .max) == .APUS_LESSON_NO_ROOM)
    }

    @Test("What a policy holds is learned for another one, later ends and all, and what finds no room is counted")
    func copied() throws {
        let maps = try HeldMaps(capacity: 4)
        for number in 1...3 { try maps.learn(UInt64(number), end: .max - UInt64(number)) }
        let held = try maps.addresses.learnedAddresses()
        let names = Dictionary(uniqueKeysWithValues: try maps.names.learnedNames().map { ($0.key, $0.record) })
        let missed = try maps.teacher.learn(held, names, policy: { _ in 8 }, set: { $0.set })
        #expect(missed == 2)
        let copy = try #require(try maps.addresses.learnedAddresses().first { $0.key.policy == 8 })
        let original = try #require(held.first { Bytes(of: $0.key.address) == Bytes(of: copy.key.address) })
        #expect(copy.value.learned.map(\.end_ns) == original.value.learned.map(\.end_ns))
    }
}

private let second: UInt64 = 1_000_000_000
