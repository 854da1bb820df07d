import Addressing
import BPF
@testable import Datapath
import DatapathABI
import Glibc
import LinuxKernel

/// The maps of a data path, empty, under a bpf file system of their own that goes when the test ends.
final class ReaderMaps {
    let bpffs: String
    /// What each map looks like; the small sizes are the tests'.
    static let shapes: [(PinnedMap, BPFMapShape)] =
        DatapathTable.allCases.compactMap { table in PinnedMap(rawValue: table.rawValue).map { ($0, shape(table)) } }
        + [
            (.connections, shape(.lruHash, apus_connection_key.self, apus_connection.self, 1024)),
            (.halfOpen, shape(.lruHash, apus_connection_key.self, apus_connection.self, 1024)),
            (.translations, shape(.lruHash, apus_translation_key.self, apus_translation.self, 1024)),
            (.disposableTranslations, shape(.lruHash, apus_translation_key.self, apus_translation.self, 1024)),
            (.affinities, shape(.lruHash, apus_affinity_key.self, apus_affinity.self, 1024)),
            (.networkNamespaces, shape(.lruHash, UInt64.self, apus_namespace.self, 1024)),
            (.fragments, shape(.lruHash, apus_fragment_key.self, apus_fragment.self, 1024)),
            (.denials, shape(.lruHash, apus_denial_key.self, apus_denial.self, 1024)),
            (.eventCounters, shape(.perCPUArray, UInt32.self, UInt64.self, 3)),
            (
                .drops,
                shape(
                    .perCPUArray, UInt32.self, apus_drop_counter.self, Int(apus_reason.APUS_REASON_COUNT.rawValue) * 2)
            ),
            (.learnedAddresses, shape(.hash, apus_learned_key.self, apus_learned_address.self, 64)),
            (.learnedNames, shape(.hash, UInt64.self, apus_learned_name.self, 64)),
            (.dnsQuestions, shape(.lruHash, apus_question_key.self, apus_question.self, 64)),
            (.dnsAnswers, BPFMapShape(type: .ringBuffer, keySize: 0, valueSize: 0, maxEntries: 4096)),
            (.events, BPFMapShape(type: .ringBuffer, keySize: 0, valueSize: 0, maxEntries: 4096)),
        ]

    init(without missing: Set<PinnedMap> = [], version: UInt32 = UInt32(APUS_ABI_VERSION)) throws {
        var template = Array("/tmp/apus-reader-\(getpid())-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BPFError(operation: "mkdtemp", errno: Errno(rawValue: errno)) }
        bpffs = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try BPFFileSystem.mount(at: bpffs)
        mkdir("\(bpffs)/maps", 0o700)
        for (map, shape) in Self.shapes where !missing.contains(map) {
            try BPFMap.create(shape, name: map.rawValue).pin(at: "\(bpffs)/maps/\(map.rawValue)")
        }
        if missing.contains(.info) { return }
        var info = apus_info()
        info.abi_version = version
        info.next_identity = 8
        info.started_ns = 1_700_000_000_000_000_000
        withUnsafeMutableBytes(of: &info.node) { $0.copyBytes(from: "worker-1".utf8) }
        try write(.info, UInt32(0), info)
    }

    deinit {
        try? BPFFileSystem.unmount(bpffs)
        rmdir(bpffs)
    }

    func open(_ map: PinnedMap) throws -> BPFMap { try BPFMap.open(pinned: "\(bpffs)/maps/\(map.rawValue)") }

    func write<Key: BitwiseCopyable, Value: BitwiseCopyable>(_ map: PinnedMap, _ key: Key, _ value: Value) throws {
        try open(map).update(key, value)
    }

    func remove<Key: BitwiseCopyable>(_ map: PinnedMap, _ key: Key) throws { _ = try open(map).delete(key) }

    /// Writes bytes that need not make sense.
    func write(_ map: PinnedMap, bytes key: Bytes, _ value: Bytes) throws {
        try open(map).update(key.span.bytes, value.span.bytes)
    }

    func name(_ key: NameKey, _ text: String) throws { try write(.names, bytes: key.key, NameKey.value(text)) }

    /// Writes records into the ring buffer as a program does.
    func submit(_ events: [apus_event]) throws {
        let source = try BPFMap.create(Self.shape(.array, UInt32.self, apus_event.self, 1), name: "source")
        let ring = try open(.events)
        let program = try BPFProgram.load(.classifier, instructions: Self.copy(source, to: ring), name: "writer")
        for event in events {
            try source.update(UInt32(0), event)
            _ = try program.testRun(packet: Bytes(zeros: 64), repeat: 1)
        }
    }

    /// `if (record = lookup(source, 0)) bpf_ringbuf_output(ring, record, sizeof(*record), BPF_RB_NO_WAKEUP)`; the
    /// numbers are those of Documentation/bpf/standardization.
    private static func copy(_ source: borrowing BPFMap, to ring: borrowing BPFMap) -> [BPFInstruction] {
        [
            BPFInstruction(0x62, destination: 10, offset: -4, immediate: 0),
            BPFInstruction(0xbf, destination: 2, source: 10), BPFInstruction(0x07, destination: 2, immediate: -4),
        ] + source.loadAddress(into: 1)
            + [
                BPFInstruction(0x85, immediate: 1), BPFInstruction(0x55, offset: 1), BPFInstruction(0x95),
                BPFInstruction(0xbf, destination: 2, source: 0),
            ] + ring.loadAddress(into: 1)
            + [
                BPFInstruction(0xb7, destination: 3, immediate: Int32(MemoryLayout<apus_event>.size)),
                BPFInstruction(0xb7, destination: 4, immediate: 1), BPFInstruction(0x85, immediate: 130),
                BPFInstruction(0xb7), BPFInstruction(0x95),
            ]
    }

    private static func shape(_ table: DatapathTable) -> BPFMapShape {
        let type: BPFMapType =
            switch table {
            case .info, .endpoints, .slots, .backends, .policyEpoch: .array
            case .peerPrefixes, .policyPorts: .longestPrefixTrie
            default: .hash
            }
        let flags: BPFMapFlags =
            switch table {
            case .slots, .backends: .mappable
            case .names, .peerPrefixes, .policySinglePorts, .policyPorts: .noPreallocation
            default: []
            }
        return BPFMapShape(
            type: type, keySize: table.keySize, valueSize: table.valueSize, maxEntries: table == .info ? 1 : 64,
            flags: flags)
    }

    static func shape<Key, Value>(_ type: BPFMapType, _ key: Key.Type, _ value: Value.Type, _ count: Int) -> BPFMapShape
    {
        BPFMapShape(
            type: type, keySize: MemoryLayout<Key>.size, valueSize: MemoryLayout<Value>.size, maxEntries: count)
    }
}

/// Numbers that look random and are the same in every run.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> Bytes { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

/// Values of the ABI, as short as tests need them.
enum Raw {
    static func address(_ text: String) -> apus_address {
        IPAddress(text).map { apus_address($0) } ?? apus_address()
    }

    static func event(_ change: (inout apus_event) -> Void = { _ in }) -> apus_event {
        var event = apus_event()
        event.time_ns = 9_000
        event.opened_ns = 5_000
        event.source = address("10.1.0.1")
        event.destination = address("10.1.0.2")
        event.source_port = UInt16(40000).bigEndian
        event.destination_port = UInt16(80).bigEndian
        event.protocol = 6
        event.egress_rule = APUS_RULE_NONE
        event.ingress_rule = APUS_RULE_NONE
        change(&event)
        return event
    }

    static func connectionKey(_ port: UInt16 = 40000, protocol ipProtocol: UInt8 = 6) -> apus_connection_key {
        apus_connection_key(
            low: address("10.1.0.1"), high: address("10.1.0.2"), low_port: port.bigEndian,
            high_port: UInt16(80).bigEndian, protocol: ipProtocol, padding: (0, 0, 0))
    }

    static func connection(
        opened: UInt64, seen: UInt64, _ change: (inout apus_connection) -> Void = { _ in }
    ) -> apus_connection {
        var connection = apus_connection()
        connection.opened_ns = opened
        connection.last_seen_ns = seen
        connection.sides.0.rule = APUS_RULE_NONE
        connection.sides.1.rule = APUS_RULE_NONE
        change(&connection)
        return connection
    }
    /// TCP to port 80, denied on the way into the destination because a policy isolates it.
    static func denialKey(_ change: (inout apus_denial_key) -> Void = { _ in }) -> apus_denial_key {
        var key = apus_denial_key(
            source: address("10.1.0.1"), destination: address("10.1.0.2"), destination_port: UInt16(80).bigEndian,
            protocol: 6, direction: 1, reason: 8, audited: 0, padding: (0, 0))
        change(&key)
        return key
    }

    static func denial(
        reported: UInt64, packets: UInt64, _ change: (inout apus_denial) -> Void = { _ in }
    ) -> apus_denial {
        var denial = apus_denial()
        denial.reported_ns = reported
        denial.packets = packets
        denial.bytes = packets * 100
        denial.rule = APUS_RULE_NONE
        change(&denial)
        return denial
    }
}
