internal import DatapathABI
internal import LoadBalancing

/// What a frontend refers to by number.
struct ServiceIDs: Sendable, Equatable {
    /// Its Service port.
    var port: UInt32 = 0
    /// Its Service where clients keep their backend on all ports, else 0.
    var affinity: UInt32 = 0
    /// Its Service where not all clients may connect, else 0.
    var sourceRanges: UInt32 = 0

    var all: [UInt32] { [port, affinity, sourceRanges] }
}

extension apus_service {
    var ids: ServiceIDs { ServiceIDs(port: service, affinity: affinity, sourceRanges: source_ranges) }
}

/// The id of each Service port, which its frontends of both families share, and of each whole Service with affinity.
struct ServiceDirectory: Sendable {
    private var allocator: RangeAllocator
    private var ids: [String: UInt32] = [:]
    private var holders: [UInt32: (name: String, references: Int)] = [:]

    init(capacity: Int) { allocator = RangeAllocator(1..<max(1, capacity)) }

    /// `namespace/name/port name`.
    static func name(_ program: ServiceProgram) -> String { "\(program.service)/\(program.portName)" }

    /// The ids of the program's Service port and, with affinity, of its Service, each with one more reference.
    mutating func acquire(_ program: ServiceProgram, names: inout HashTable) -> ServiceIDs {
        ServiceIDs(
            port: acquire(Self.name(program), names: &names),
            affinity: program.affinitySeconds == nil ? 0 : acquire("\(program.service)", names: &names),
            sourceRanges: program.sourceRanges.isEmpty ? 0 : acquire("\(program.service)", names: &names))
    }

    /// The id of a name with one more reference; 0, which has no name, when all are taken.
    private mutating func acquire(_ name: String, names: inout HashTable) -> UInt32 {
        if let id = ids[name] {
            holders[id]?.references += 1
            // An id that is adopted, or on its way out, is asked for now.
            names.put(NameKey.service(id).key, NameKey.value(name))
            return id
        }
        guard let id = allocator.allocate().map(UInt32.init) else { return 0 }
        ids[name] = id
        holders[id] = (name, 1)
        names.put(NameKey.service(id).key, NameKey.value(name))
        return id
    }

    mutating func retain(_ ids: ServiceIDs) {
        for id in ids.all { holders[id]?.references += 1 }
    }

    mutating func release(_ ids: ServiceIDs, names: inout HashTable) {
        for id in ids.all { release(id, names: &names) }
    }

    private mutating func release(_ id: UInt32, names: inout HashTable) {
        guard let holder = holders[id] else { return }
        if holder.references > 1 { holders[id]?.references -= 1 } else { drop(id, holder.name, names: &names) }
    }

    mutating func adopt(_ id: UInt32, _ name: String) {
        guard allocator.reserve(Int(id)..<Int(id) + 1) else { return }
        holders[id] = (name, 0)
        if ids[name] == nil { ids[name] = id }
    }

    mutating func removeUnused(names: inout HashTable) {
        for (id, holder) in holders where holder.references == 0 { drop(id, holder.name, names: &names) }
    }

    private mutating func drop(_ id: UInt32, _ name: String, names: inout HashTable) {
        holders[id] = nil
        if ids[name] == id { ids[name] = nil }
        names.retire(NameKey.service(id).key)
        allocator.release(Int(id)..<Int(id) + 1)
    }
}
