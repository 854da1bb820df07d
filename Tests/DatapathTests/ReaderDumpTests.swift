import Addressing
import BPF
@testable import Datapath
import DatapathABI
import Testing

@Suite struct ReaderDumpTests {
    /// Fills the maps that the data path writes.
    private func filled() throws -> ReaderWorld {
        let world = try ReaderWorld()
        let maps = world.maps
        try maps.write(.connections, Raw.connectionKey(), world.connection)
        try maps.write(.halfOpen, Raw.connectionKey(), Raw.connection(opened: 1, seen: 1) { $0.opener = 9 })
        try maps.write(
            .translations,
            apus_translation_key(
                client: Raw.address("10.1.0.1"), frontend: Raw.address("10.96.0.10"), client_port: UInt16(5).bigEndian,
                frontend_port: UInt16(80).bigEndian, protocol: 17, padding: (0, 0, 0)),
            apus_translation(
                backend: Raw.address("10.1.0.2"), backend_port: UInt16(8080).bigEndian, flags: 0,
                backend_index: 0))
        try maps.write(
            .affinities, apus_affinity_key(client: Raw.address("10.1.0.1"), service: 5, padding: 0),
            apus_affinity(backend: Raw.address("10.1.0.2"), seen_ns: 77))
        try maps.write(
            .affinities,
            apus_affinity_key(client: apus_address(high: .max, low: 4026), service: 5, padding: 0),
            apus_affinity(backend: Raw.address("10.1.0.3"), seen_ns: 78))
        try maps.write(.networkNamespaces, UInt64(4027), apus_namespace(endpoint: 3, identity: 1003))
        try maps.write(
            .fragments,
            apus_fragment_key(
                source: Raw.address("fd00::1"), destination: Raw.address("fd00::2"),
                identification: UInt32(0xabc).bigEndian, protocol: 17, padding: (0, 0, 0)),
            apus_fragment(
                source_port: UInt16(5).bigEndian, destination_port: UInt16(53).bigEndian, protocol: 17,
                padding: (0, 0, 0), seen_ns: 77))
        try maps.write(
            .denials,
            Raw.denialKey(),
            Raw.denial(reported: 5, packets: 3) {
                ($0.bytes, $0.policy, $0.rule) = (420, 0xc0ffee, APUS_RULE_ISOLATION)
            })
        try maps.write(.interfaces, UInt32(7), UInt32(3))
        var address = apus_learned_address()
        address.learned = [apus_learned_use(name: 0xfeed, end_ns: 90)]
        address.used_ns = 80
        try maps.write(
            .learnedAddresses,
            apus_learned_key(address: Raw.address("198.51.100.1"), policy: 0xc0ffee, part: 0), address)
        var name = apus_learned_name()
        (name.seen_ns, name.set, name.length) = (70, 0x8000_0001, 6)
        withUnsafeMutableBytes(of: &name.text) { $0.copyBytes(from: "a.test".utf8) }
        try maps.write(.learnedNames, UInt64(0xfeed), name)
        return world
    }

    @Test(
        "Entries read as text",
        arguments: [
            ("interfaces", ["interface 7: endpoint 3"]),
            (
                "learned_addresses",
                ["policy 00c0ffee 198.51.100.1: used 80 name 000000000000feed until 90"]
            ),
            ("learned_names", ["name 000000000000feed: a.test class 80000001 seen 70"]),
            (
                "slots",
                [
                    "8: backend 1", "9: backend 2", "10: backend 1", "11: backend 3", "12: backend 60000",
                    "13: backend 4",
                ]
            ),
            (
                "connections",
                [
                    "TCP 10.1.0.1:40000 -> 10.1.0.2:80: established opened 1000 seen 4000 source [0/0] destination [0/0]"
                ]
            ),
            ("translations", ["UDP 10.1.0.1:5 -> 10.96.0.10:80: backend 10.1.0.2:8080"]),
            (
                "affinities",
                [
                    "client 10.1.0.1 service 5: backend 10.1.0.2 seen 77",
                    "client namespace 4026 service 5: backend 10.1.0.3 seen 78",
                ]
            ),
            ("network_namespaces", ["namespace 4027: endpoint 3 identity 1003"]),
            ("fragments", ["UDP fd00::1 -> fd00::2 identification abc: ports 5 -> 53 seen 77"]),
            (
                "denials",
                [
                    """
                    TCP 10.1.0.1 -> 10.1.0.2:80 ingress policy_isolated: reported 5 since then 3 packets 420 bytes \
                    by 00c0ffee/isolation
                    """
                ]
            ),
            ("peer_classes", []),
        ])
    func text(map: String, expected: [String]) throws {
        let world = try filled()
        #expect(try world.reader().dump(map: map).map { "\($0.key): \($0.value)" } == expected)
    }

    @Test("An entry that makes no sense is shown in hex")
    func nonsense() throws {
        let world = try filled()
        let row = try #require(try world.reader().dump(map: "half_open").first)
        #expect(row.key.utf8.count == 80)
        #expect(row.value.utf8.count == 240)
        #expect(row.value.utf8.allSatisfy { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "f") })
    }

    @Test("Every map can be dumped and is listed with its size and use")
    func all() throws {
        let world = try filled()
        let reader = try world.reader()
        let summaries = try reader.maps()
        #expect(summaries.map(\.name) == ReaderMaps.shapes.map(\.0.rawValue).sorted { order($0) < order($1) })
        for summary in summaries {
            let rows = try reader.dump(map: summary.name)
            if let entries = summary.entries, !["drops", "event_counters"].contains(summary.name) {
                #expect(rows.count == entries, "\(summary.name)")
            }
        }
        let names = try #require(summaries.first { $0.name == "names" })
        #expect(
            names == MapSummary(name: "names", type: "hash", keySize: 12, valueSize: 384, entries: 6, capacity: 64))
        #expect(summaries.first { $0.name == "events" }?.entries == nil)
    }

    private func order(_ name: String) -> Int { PinnedMap.allCases.firstIndex { $0.rawValue == name } ?? -1 }

    @Test("Random bytes in every map are read without a trap")
    func randomBytes() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededNumbers(seed)
        let maps = try ReaderMaps()
        for (name, shape) in ReaderMaps.shapes
        where ![.events, .dnsAnswers, .info].contains(name) && !shape.type.isPerCPU {
            for number in 0..<48 {
                var key = random.bytes(shape.keySize)
                if shape.type.isArray { key = Bytes(of: UInt32(number)) }
                // The kernel refuses longer prefixes than the key has bits.
                if shape.type == .longestPrefixTrie { key.replaceSubrange(0..<4, with: Bytes(of: UInt32(number))) }
                try maps.write(name, bytes: key, random.bytes(shape.valueSize))
            }
        }
        let reader = try DatapathReader(bpffs: maps.bpffs)
        for (name, _) in ReaderMaps.shapes { _ = try reader.dump(map: name.rawValue) }
        #expect(try reader.endpoints().count > 0, "seed \(seed)")
        #expect(try reader.services().count == 48, "seed \(seed)")
        _ = (try reader.policies(), try reader.connections(), try reader.maps())
    }
}
