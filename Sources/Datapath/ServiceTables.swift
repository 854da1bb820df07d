internal import Addressing
internal import DatapathABI
internal import LoadBalancing

/// Frontends, the ranges of slots that they lead to, and the backends that those name.
struct ServiceTables: Sendable {
    /// A frontend that is programmed.
    private struct Programmed {
        var ids: ServiceIDs
        var range: Range<Int>
        /// Nil for one that was found in the kernel and not asked for yet.
        var program: ServiceProgram?
    }

    var services = HashTable(.services)
    var slots: ArrayTable
    var backends: ArrayTable
    /// Programs for which there was no room: the frontend keeps what it had, or refuses.
    private(set) var waiting: [Frontend: (program: ServiceProgram, reason: DatapathProblem.Reason)] = [:]

    private var programmed: [Frontend: Programmed] = [:]
    private var ranges: RangeAllocator
    private var directory: BackendDirectory
    private var ids: ServiceDirectory
    /// Ranges that the kernel's entry of a frontend may still lead to.
    private var superseded: [Bytes: [Range<Int>]] = [:]
    /// Ranges to which nothing leads, since the given time at the latest.
    private var leaving: [(range: Range<Int>, deadline: UInt64?)] = []

    init(capacities: TableCapacities) {
        slots = ArrayTable(.slots, capacity: capacities.slots)
        backends = ArrayTable(.backends, capacity: capacities.backends)
        ranges = RangeAllocator(0..<capacities.slots)
        directory = BackendDirectory(capacity: capacities.backends)
        ids = ServiceDirectory(capacity: capacities.names)
    }

    // MARK: Edits

    mutating func apply(_ edit: ServiceEdit, names: inout HashTable) {
        switch edit {
        case .set(let frontend, let program): set(frontend, program, names: &names)
        case .remove(let frontend): remove(frontend, names: &names)
        }
    }

    private mutating func set(_ frontend: Frontend, _ program: ServiceProgram, names: inout HashTable) {
        waiting[frontend] = nil
        let old = programmed[frontend]
        let fresh = ids.acquire(program, names: &names)
        let range: Range<Int>
        if let old, (old.program?.backends ?? resolve(old.range, of: frontend)) == program.backends {
            range = old.range
        } else {
            switch place(program.backends, frontend.ipProtocol) {
            case .success(let placed): range = placed
            case .failure(let full):
                waiting[frontend] = (program, full.reason)
                if old != nil { return ids.release(fresh, names: &names) }
                range = 0..<0
            }
        }
        programmed[frontend] = Programmed(
            ids: fresh, range: range, program: waiting[frontend] == nil ? program : program.withoutBackends)
        let value = apus_service(range, fresh, program, at: frontend)
        change(frontend, to: Bytes(of: value), old: old?.range == range ? nil : old?.range)
        if let old { ids.release(old.ids, names: &names) }
    }

    private mutating func remove(_ frontend: Frontend, names: inout HashTable) {
        waiting[frontend] = nil
        guard let old = programmed.removeValue(forKey: frontend) else { return }
        change(frontend, to: nil, old: old.range)
        ids.release(old.ids, names: &names)
    }

    private mutating func change(_ frontend: Frontend, to value: Bytes?, old: Range<Int>?) {
        let key = frontend.key
        if let old, !old.isEmpty { superseded[key, default: []].append(old) }
        if let value { services.put(key, value) } else { services.remove(key) }
        if !services.isDirty(key) { confirm(key) }
    }

    /// Writes fresh slots for the backends.
    private mutating func place(
        _ wanted: [Backend], _ ipProtocol: IPProtocol
    ) -> Result<Range<Int>, DatapathProblem.Full> {
        guard let range = ranges.allocate(wanted.count) else { return .failure(.init(reason: .slotsExhausted)) }
        for (slot, backend) in zip(range, wanted) {
            guard let index = directory.acquire(backend.address, ipProtocol) else {
                for taken in range.lowerBound..<slot { releaseBackend(ofSlot: taken) }
                ranges.release(range)
                return .failure(.init(reason: .backendsExhausted))
            }
            backends.set(index, apus_backend(backend.address, ipProtocol))
            slots.set(slot, UInt32(index))
        }
        return .success(range)
    }

    private mutating func releaseBackend(ofSlot slot: Int) {
        guard let index = slots.load(UInt32.self, at: slot).map(Int.init) else { return }
        if directory.release(index) { backends.set(index, apus_backend()) }
    }

    /// Tries again to place what found no room.
    mutating func retryWaiting(names: inout HashTable) {
        for (frontend, (program, _)) in waiting.sorted(by: { $0.key < $1.key }) {
            set(frontend, program, names: &names)
        }
    }

    // MARK: Programming

    /// Whether everything that a value of `services` leads to is in the kernel.
    func isReady(_ value: Bytes) -> Bool {
        guard slots.hasDirty || backends.hasDirty, let service = value.load(apus_service.self) else { return true }
        let first = Int(service.first_slot)
        return (first..<first + Int(service.slot_count)).allSatisfy { slot in
            !slots.isDirty(slot) && slots.load(UInt32.self, at: slot).map { !backends.isDirty(Int($0)) } ?? false
        }
    }

    /// The kernel's entry of the frontend is as wanted: its former ranges are on their way out.
    mutating func confirm(_ key: Bytes) {
        services.confirm(key)
        for range in superseded.removeValue(forKey: key) ?? [] { leaving.append((range, nil)) }
    }

    /// Frees the ranges whose time has come and starts the time of the others.
    mutating func expireLeaving(now: UInt64, grace: UInt64, names: inout HashTable) {
        for position in leaving.indices where leaving[position].deadline == nil {
            leaving[position].deadline = now + grace
        }
        let due = leaving.filter { $0.deadline.map { $0 <= now } ?? false }
        guard !due.isEmpty else { return }
        leaving.removeAll { $0.deadline.map { $0 <= now } ?? false }
        for (range, _) in due {
            for slot in range { releaseBackend(ofSlot: slot) }
            ranges.release(range)
        }
        retryWaiting(names: &names)
    }

    var nextDeadline: UInt64? { leaving.compactMap(\.deadline).min() }

    /// Ranges on their way out.
    var leavingCount: Int { leaving.count + superseded.count }

    /// The slots that are in use, wanted or on their way out.
    var usedSlots: [Range<Int>] {
        programmed.values.map(\.range) + leaving.map(\.range) + superseded.values.joined()
    }

    /// Slots that nothing leads to may hold anything, but what they hold decides whether a later value must be written:
    /// a map that was made beside holds zeros where the old one held what once was in use.
    mutating func observeFreeSlots(_ actual: Bytes) {
        var isUsed = [Bool](repeating: false, count: slots.count)
        for range in usedSlots {
            for slot in range where slot < isUsed.count { isUsed[slot] = true }
        }
        for slot in isUsed.indices where !isUsed[slot] && !slots.isDirty(slot) { slots.observe(slot, in: actual) }
    }

    /// The backends that a range of slots leads to; nil when one of them leads nowhere.
    private func resolve(_ range: Range<Int>, of frontend: Frontend) -> [Backend]? {
        var result: [Backend] = []
        for slot in range {
            guard let index = slots.load(UInt32.self, at: slot),
                let backend = backends.load(apus_backend.self, at: Int(index)), backend.in_use != 0,
                backend.protocol == frontend.ipProtocol.rawValue
            else { return nil }
            result.append(Backend(address: backend.socketAddress))
        }
        return result
    }

    // MARK: Adoption

    /// Takes over slots and backends that the kernel holds; before any frontend is adopted.
    mutating func adopt(slots: Bytes, backends: Bytes) {
        self.slots.adopt(slots)
        self.backends.adopt(backends)
        for index in 0..<self.backends.count {
            guard let backend = self.backends.load(apus_backend.self, at: index), backend.in_use != 0 else { continue }
            directory.adopt(index, backend.socketAddress, IPProtocol(rawValue: backend.protocol))
        }
    }

    mutating func adopt(serviceID id: UInt32, _ name: String) { ids.adopt(id, name) }

    /// Takes over a frontend that the kernel holds. One with an impossible range is taken without slots.
    mutating func adopt(_ entry: TableEntry) {
        services.adopt(entry)
        guard let frontend = Frontend(key: entry.key), frontend.key == entry.key,
            let service = entry.value.load(apus_service.self)
        else { return }
        let first = Int(service.first_slot)
        var range = first..<first + Int(service.slot_count)
        if range.isEmpty || resolve(range, of: frontend) == nil || !ranges.reserve(range) { range = 0..<0 }
        for slot in range { directory.retain(Int(slots.load(UInt32.self, at: slot) ?? 0)) }
        ids.retain(service.ids)
        programmed[frontend] = Programmed(ids: service.ids, range: range, program: nil)
    }

    /// Lets go of what no edit has asked for.
    mutating func removeUnclaimed(names: inout HashTable) {
        for key in services.unclaimed.sorted(by: memoryOrder) {
            if let frontend = Frontend(key: key), programmed[frontend] != nil {
                remove(frontend, names: &names)
            }
        }
        services.removeUnclaimed(afterGrace: false)
        for index in directory.removeUnused() { backends.set(index, apus_backend()) }
        ids.removeUnused(names: &names)
    }
}

extension ServiceProgram {
    /// The same Service, refusing.
    var withoutBackends: ServiceProgram {
        ServiceProgram(
            service: service, portName: portName, kind: kind, backends: [], affinitySeconds: affinitySeconds)
    }
}
