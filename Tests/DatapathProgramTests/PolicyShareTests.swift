internal import Addressing
internal import BPF
internal import DatapathABI
internal import Glibc
internal import TestSupport
internal import Testing

@Suite("What one policy may have of the learned addresses")
struct PolicyShareTests {
    private static let other: UInt32 = 0x78

    /// A pod whose policy may have four addresses, and as many names, and another pod with a policy of its own.
    private func pods(addresses: UInt32 = 4, names: UInt32 = 100) throws -> (Asker, Pod) {
        let asker = try Asker { config in
            config.address_share = addresses
            config.name_share = names
        }
        try asker.datapath.set(HandMadePolicy(id: Self.other, hasNames: true, rules: [.init(peers: [1]), .init()]))
        return (asker, try asker.datapath.addPod(egress: Self.other))
    }

    private func share(_ asker: Asker, of policy: UInt32 = 0x77) throws -> [UInt32] {
        let share = try asker.datapath.maps.learnedShares.lookup(policy, as: apus_learned_share.self)
        return share.map { [$0.entries, $0.names] } ?? []
    }

    private func learn(_ asker: Asker, _ numbers: ClosedRange<Int>, lifetime: UInt32 = 60) throws {
        for number in numbers {
            try asker.ask("n\(number).web.test", id: UInt16(number))
            try asker.answer(
                "n\(number).web.test", id: UInt16(number), lifetime: lifetime, addresses: [ip("203.0.113.\(number)")])
        }
    }

    @Test("A policy that has its share gets no more addresses, and what another one learns has room")
    func addresses() throws {
        let (asker, other) = try pods()
        try learn(asker, 1...6)
        #expect(try share(asker) == [4, 4])
        #expect(try asker.count(.APUS_DNS_COUNT_POLICY_SHARE) == 2)
        #expect(try asker.count(.APUS_DNS_COUNT_NO_ROOM) == 0)
        for number in 1...6 {
            let isOpen = try asker.reaches(ip("203.0.113.\(number)"), from: Port(50_000 + UInt16(number)))
            #expect(isOpen == (number <= 4), "\(number)")
        }
        // The agent is to make room, and to learn them then.
        #expect(try asker.handedOver().count == 2)
        let second = Asker(other, beside: asker)
        try learn(second, 7...8)
        #expect(try share(asker, of: Self.other) == [2, 2])
        #expect(try second.reaches(ip("203.0.113.7"), from: 50_000))
    }

    @Test("What has ended makes room within the share, and is counted no more")
    func ended() throws {
        let (asker, _) = try pods()
        try learn(asker, 1...4)
        for number in 1...2 { try asker.end(ip("203.0.113.\(number)")) }
        // Room is made once a second, and may have been for want of memory a moment before.
        for _ in 0..<30 where try asker.count(.APUS_DNS_COUNT_MADE_ROOM) == 0 {
            try learn(asker, 5...6)
            if try asker.count(.APUS_DNS_COUNT_MADE_ROOM) == 0 { usleep(100_000) }
        }
        #expect(try share(asker) == [4, 4])
        #expect(try asker.count(.APUS_DNS_COUNT_MADE_ROOM) == 2)
        #expect(try asker.reaches(ip("203.0.113.6"), from: 50_000))
    }

    @Test("Names of addresses have a share of their own: beyond it one takes the place of another")
    func names() throws {
        let (asker, _) = try pods(addresses: 100, names: 3)
        for number in 1...5 {
            try asker.ask("n\(number).web.test", id: UInt16(number))
            try asker.answer("n\(number).web.test", id: UInt16(number), addresses: [Asker.web[0]])
        }
        #expect(try share(asker) == [1, 3])
        #expect(try asker.datapath.maps.learnedNames.keys(as: UInt64.self).count == 3)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        try learn(asker, 6...6)
        #expect(try asker.count(.APUS_DNS_COUNT_POLICY_SHARE) > 0)
    }

    @Test("An answer counts for a day at most, whatever it says")
    func longest() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.answer(lifetime: 0x7fff_ffff)
        let key = apus_learned_key(address: apus_address(Asker.web[0]), policy: 0x77, part: 0)
        let held = try #require(try asker.datapath.maps.learnedAddresses.lookup(key, as: apus_learned_address.self))
        let lifetime = held.uses.0.end_ns - held.used_ns
        // The grace is five seconds.
        #expect(lifetime == (UInt64(APUS_LEARNED_LONGEST) + 5) * DatapathFixture.second)
    }
}
