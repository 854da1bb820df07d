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
        try asker.ask(Self.names[number], id: UInt16(number))
        try asker.answer(Self.names[number], id: UInt16(number), lifetime: lifetime, addresses: [Asker.web[0]])
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
                    let text = withUnsafeBytes(of: name.text) {
                        String(decoding: $0.prefix(Int(name.length)), as: UTF8.self)
                    }
                    if text != names[number] { use.end_ns = 1 }
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
