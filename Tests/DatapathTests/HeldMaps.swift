import Addressing
import BPF
import DatapathABI
import DatapathObjects

@testable import Datapath

/// The maps of what is learned, outside of any data path.
struct HeldMaps: ~Copyable {
    static let policy: UInt32 = 7
    let teacher: NameTeacher
    let addresses: BPFMap
    let names: BPFMap
    let connections: BPFMap
    let halfOpen: BPFMap
    let counters: BPFMap
    let shares: BPFMap
    let share: (addresses: Int, names: Int)

    /// - Parameter share: of the maps that one policy may have; nil: all of them.
    init(capacity: Int = 64, nameCapacity: Int = 64, share: Int? = nil) throws {
        var object = try BPFObject(.names)
        let sizes = [
            "connections": 64, "half_open": 64, "learned_addresses": capacity, "learned_names": nameCapacity,
            "dns_questions": 64,
        ]
        for (name, size) in sizes { try object.setMaxEntries(size, ofMap: name) }
        let share = (addresses: share ?? capacity, names: share ?? 1_000)
        var config = apus_config()
        config.address_share = UInt32(share.addresses)
        config.name_share = UInt32(share.names)
        try object.setConstant("config", to: config)
        try object.load()
        let teacher = try NameTeacher(object)
        let addresses = try object.map("learned_addresses")
        let names = try object.map("learned_names")
        let connections = try object.map("connections")
        let halfOpen = try object.map("half_open")
        let counters = try object.map("dns_counters")
        let shares = try object.map("learned_shares")
        self.teacher = teacher
        self.addresses = addresses
        self.names = names
        self.connections = connections
        self.halfOpen = halfOpen
        self.counters = counters
        self.shares = shares
        self.share = share
    }

    func keeper() throws -> LearnedKeeper {
        LearnedKeeper(
            teacher: teacher, addresses: try addresses.duplicate(), names: try names.duplicate(),
            established: try connections.duplicate(), halfOpen: try halfOpen.duplicate(),
            counters: try counters.duplicate(), shares: try shares.duplicate(), timeouts: DatapathTimeouts(),
            share: share)
    }

    static func address(_ number: UInt64) -> apus_address { apus_address(IPAddress(v4: 0x0a00_0000 | UInt32(number))) }

    @discardableResult
    func learn(
        _ number: UInt64, _ name: String? = nil, set: UInt32 = 1, end: UInt64, used: UInt64 = 0,
        policy: UInt32 = Self.policy
    ) throws -> apus_lesson_outcome {
        try teacher.learn(
            NameLesson(
                name: name ?? "n\(number).test", set: set, time: 1, policies: [policy],
                addresses: [
                    apus_lesson_address(
                        address: Self.address(number), end_ns: end, used_ns: used, judged: 0, padding: 0)
                ]))
    }

    func count(_ counter: apus_dns_counter, _ number: UInt64) throws {
        let values = [number] + [UInt64](repeating: 0, count: PossibleCPUs.count - 1)
        try withUnsafeBytes(of: counter.rawValue) { try counters.update($0.bytes, values.span.bytes) }
    }

    /// Has a connection lead to an address.
    ///
    /// - Parameter seen: when it had its last packet, in nanoseconds.
    func connect(
        _ number: UInt64, seen: UInt64 = .max, protocol ipProtocol: UInt8 = 6, isHalfOpen: Bool = false,
        flags: apus_connection_flag? = nil
    ) throws {
        var key = apus_connection_key()
        key.low = Self.address(number)
        key.protocol = ipProtocol
        var connection = apus_connection()
        connection.last_seen_ns = seen
        if let flags { connection.flags = .init(flags.rawValue) }
        if isHalfOpen {
            try halfOpen.update(key, connection)
        } else {
            try connections.update(key, connection)
        }
    }

    var held: Set<UInt64> {
        get throws {
            Set(try addresses.keys(as: apus_learned_key.self).map { $0.address.address.low & 0xffff })
        }
    }
}
