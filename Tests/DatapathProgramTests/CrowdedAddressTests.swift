internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("An address that has many names")
struct CrowdedAddressTests {
    /// Names that a pattern of its own matches each.
    private static let names = (0..<40).map { "host\($0).example" }

    /// Asks for a name and gets one address for it.
    private func learn(_ asker: Asker, _ number: Int, lifetime: UInt32 = 60) throws {
        try learn(asker, Self.names[number], UInt16(number), lifetime: lifetime)
    }

    private func learn(_ asker: Asker, _ name: String, _ id: UInt16, lifetime: UInt32) throws {
        try asker.ask(name, id: id)
        try asker.answer(name, id: id, lifetime: lifetime, addresses: [Asker.web[0]])
    }

    /// The names that are held.
    private func texts(_ asker: Asker) throws -> Set<String> {
        let keys = try asker.datapath.maps.learnedNames.keys(as: UInt64.self)
        return Set(
            try keys.compactMap { try asker.datapath.maps.learnedNames.lookup($0, as: apus_learned_name.self)?.asText })
    }

    private func names(_ asker: Asker) throws -> Int {
        try asker.datapath.maps.learnedNames.keys(as: UInt64.self).count
    }

    /// The parts of the address.
    private func parts(_ asker: Asker) throws -> [UInt32] {
        try asker.datapath.maps.learnedAddresses.keys(as: apus_learned_key.self).map(\.part).sorted()
    }

    @Test("Each of thirty-two names that differ counts until it ends")
    func manyNames() throws {
        let asker = try Asker(names: Self.names)
        for number in 0..<32 { try learn(asker, number, lifetime: UInt32(number == 31 ? 1_000 : 60)) }
        #expect(try parts(asker) == [0, 1, 2, 3] && names(asker) == 32)
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 0)
        // Only the last one, which is in the last part, is left.
        try asker.endAll(but: 31, of: Self.names)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        try learn(asker, 31, lifetime: 2_000)
        #expect(try parts(asker) == [0, 1, 2, 3])
    }

    @Test("The thirty-third takes the place of the one that ends first, and counts")
    func crowded() throws {
        let asker = try Asker(names: Self.names)
        for number in 0..<33 { try learn(asker, number, lifetime: UInt32(100 + number)) }
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 1 && names(asker) == 32)
        try asker.endAll(but: 32, of: Self.names)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
    }

    @Test("The thirty-third takes the place of the one that ends first, in whichever part that is")
    func crowdedBehind() throws {
        let asker = try Asker(names: Self.names)
        for number in 0..<33 { try learn(asker, number, lifetime: UInt32(number == 20 ? 60 : 1_000)) }
        #expect(try texts(asker) == Set(Self.names[..<33]).subtracting([Self.names[20]]))
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 1)
    }

    @Test("Thirty-two names of the same patterns are all held, and what takes a place of theirs takes the earliest")
    func samePatterns() throws {
        let asker = try Asker()
        let names = (0..<34).map { "n\($0).web.test" }
        for number in 0..<32 {
            try learn(asker, names[number], UInt16(number), lifetime: UInt32(number == 17 ? 60 : 1_000 + number))
            #expect(try texts(asker) == Set(names[...number]))
        }
        // Also where connections were judged by the address.
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 0)
        try learn(asker, names[32], 32, lifetime: 2_000)
        #expect(try texts(asker) == Set(names[...32]).subtracting([names[17]]))
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 1)
        // One that has ended goes before one that has not.
        try asker.endAll(but: 32, of: names)
        try learn(asker, names[33], 33, lifetime: 60)
        #expect(try texts(asker).isSuperset(of: names[32...]))
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 1)
    }

    @Test("Among many names of one pattern that of another one counts, wherever it is and whatever the others admit")
    func oneAmongMany() throws {
        for place in [0, 7, 20, 31] {
            for kept in ["shop.example", "*.web.test"] {
                let asker = try Asker(names: ["other.example", "shop.example"])
                var names = (0..<31).map { "n\($0).web.test" }
                names.insert("shop.example", at: place)
                names[place == 9 ? 10 : 9] = "other.example"
                for (number, name) in names.enumerated() { try learn(asker, name, UInt16(number), lifetime: 1_000) }
                #expect(try texts(asker) == Set(names))
                try asker.admitOnly(kept, among: ["*.web.test", "other.example", "shop.example"])
                #expect(try asker.reaches(Asker.web[0], from: 50_000))
            }
        }
    }

    @Test("A name takes nobody's rights where others of its patterns last longer: it is the one that is not kept")
    func covered() throws {
        let asker = try Asker(names: ["shop.example"])
        try learn(asker, "shop.example", 100, lifetime: 60)
        let names = (0..<31).map { "n\($0).web.test" }
        for (number, name) in names.enumerated() { try learn(asker, name, UInt16(number), lifetime: 1_000) }
        // As a copy of what was learned before is, or an answer for a shorter time.
        try learn(asker, "late.web.test", 101, lifetime: 500)
        #expect(try texts(asker) == Set(names + ["shop.example"]))
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 1)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        // One that lasts longer than they do takes the place of one of them.
        try learn(asker, "long.web.test", 102, lifetime: 2_000)
        let held = try texts(asker)
        #expect(held.count == 32 && held.isSuperset(of: ["shop.example", "long.web.test"]))
    }

    @Test(
        "A name that has ended gives its place, before another part is begun, where nothing was judged by the address")
    func endedGivesPlace() throws {
        let asker = try Asker(names: Self.names)
        for number in 0..<8 { try learn(asker, number) }
        try asker.endAll(but: 7, of: Self.names)
        for number in 8..<15 { try learn(asker, number) }
        #expect(try parts(asker) == [0] && texts(asker) == Set(Self.names[7..<15]))
        try learn(asker, 15)
        #expect(try parts(asker) == [0, 1])
    }

    @Test("What a live connection was admitted by stays, though it has ended and other names come")
    func liveConnection() throws {
        let asker = try Asker(names: Self.names) { config in
            config.name_minimum_ns = 0
            config.name_grace_ns = 0
        }
        try learn(asker, 0, lifetime: 60)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        try asker.end(Asker.web[0])
        for number in 1..<20 { try learn(asker, number, lifetime: 60) }
        try asker.admitOnly(Self.names[0], among: ["*.web.test"] + Self.names)
        try asker.datapath.bumpGeneration(of: asker.pod)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        #expect(try !asker.reaches(Asker.web[0], from: 50_001))
    }
}

extension Asker {
    /// Lets all names of the web's first address end, but the one that was learned as the given one of a list.
    fileprivate func endAll(but number: Int, of names: [String]) throws {
        for key in try datapath.maps.learnedAddresses.keys(as: apus_learned_key.self) {
            var value = try #require(try datapath.maps.learnedAddresses.lookup(key, as: apus_learned_address.self))
            try withUnsafeMutableBytes(of: &value.uses) { bytes in
                for place in 0..<Int(APUS_LEARNED_NAMES) {
                    let offset = place * MemoryLayout<apus_learned_use>.stride
                    var use = bytes.loadUnaligned(fromByteOffset: offset, as: apus_learned_use.self)
                    guard let name = try datapath.maps.learnedNames.lookup(use.name, as: apus_learned_name.self)
                    else { continue }
                    if name.asText != names[number] { use.end_ns = 1 }
                    bytes.storeBytes(of: use, toByteOffset: offset, as: apus_learned_use.self)
                }
            }
            try datapath.maps.learnedAddresses.update(key, value)
        }
    }

    /// Takes the rights of all names away but for one.
    fileprivate func admitOnly(_ name: String, among patterns: [String]) throws {
        let kept = UInt32(try #require(patterns.sorted().firstIndex(of: name)) + 1)
        for key in try datapath.maps.policyPeers.keys(as: apus_policy_peers_key.self) where key.class_id != kept {
            try datapath.maps.policyPeers.delete(key)
        }
    }
}

extension apus_learned_name {
    fileprivate var asText: String {
        withUnsafeBytes(of: text) { String(decoding: $0.prefix(Int(length)), as: UTF8.self) }
    }
}
