internal import Addressing
internal import DatapathABI
internal import LoadBalancing

/// The slots of a frontend: for clients inside, and for those outside. Where both get the same it is one range.
struct SlotRanges: Sendable, Equatable {
    var inside: Range<Int> = 0..<0
    var outside: Range<Int> = 0..<0
    /// How many slots at the end of those for clients outside are the table of places instead of one for each backend.
    var tableSize = 0

    /// The slots of the backends for clients outside, each once and in order.
    var outsideBackends: Range<Int> { outside.lowerBound..<outside.upperBound - tableSize }

    /// The ranges that hold anything, each once.
    var all: [Range<Int>] { (inside == outside ? [inside] : [inside, outside]).filter { !$0.isEmpty } }
}

/// Frontends, the ranges of slots that they lead to, and the backends that those name.
struct ServiceTables: Sendable {
    /// A frontend that is programmed.
    private struct Programmed {
        var ids: ServiceIDs
        var ranges: SlotRanges
        /// Nil for one that was found in the kernel and not asked for yet.
        var program: ServiceProgram?
    }

    var services = HashTable(.services)
    var slots: ArrayTable
    var backends: ArrayTable
    var sourceRanges = SourceRangeTable()
    /// Whether there is, or was, a frontend for clients outside.
    private(set) var isExposed = false
    /// Programs for which there was no room: the frontend keeps the backends that it had, or refuses.
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
        let fresh = frontend.isRest ? ServiceIDs() : ids.acquire(program, names: &names)
        let (ranges, placed) = placeOrKeep(program, fresh, at: frontend, old)
        isExposed = isExposed || program.kind != .clusterIP
        sourceRanges.acquire(program.sourceRanges, of: fresh.sourceRanges)
        programmed[frontend] = Programmed(ids: fresh, ranges: ranges, program: placed)
        let value = apus_service(ranges, fresh, program, at: frontend)
        change(frontend, to: Bytes(of: value), leaving: (old?.ranges.all ?? []).filter { !ranges.all.contains($0) })
        if let old { release(old, names: &names) }
    }

    /// Where a program's backends are. Where there is no room it waits for some, and meanwhile the Service port keeps
    /// the backends that it had, under all else of the new program: who may not come any more is kept out at once.
    private mutating func placeOrKeep(
        _ program: ServiceProgram, _ ids: ServiceIDs, at frontend: Frontend, _ old: Programmed?
    ) -> (SlotRanges, ServiceProgram) {
        // Without an id of its own a Service would be for all.
        if !program.sourceRanges.isEmpty, ids.sourceRanges == 0 {
            waiting[frontend] = (program, .namesExhausted)
            return (SlotRanges(), program.with(backends: [], outside: []))
        }
        switch place(program, at: frontend, reusing: old) {
        case .success(let ranges): return (ranges, program)
        case .failure(let full):
            waiting[frontend] = (program, full.reason)
            guard let old, old.ids.port == ids.port else { break }
            let inside = backends(of: old, \.inside, \.backends, at: frontend) ?? []
            let outside = backends(of: old, \.outsideBackends, \.outside, at: frontend) ?? []
            return (old.ranges, program.with(backends: inside, outside: outside))
        }
        return (SlotRanges(), program.with(backends: [], outside: []))
    }

    private mutating func release(_ old: Programmed, names: inout HashTable) {
        if let program = old.program { sourceRanges.release(program.sourceRanges, of: old.ids.sourceRanges) }
        ids.release(old.ids, names: &names)
    }

    private mutating func remove(_ frontend: Frontend, names: inout HashTable) {
        waiting[frontend] = nil
        guard let old = programmed.removeValue(forKey: frontend) else { return }
        change(frontend, to: nil, leaving: old.ranges.all)
        release(old, names: &names)
    }

    private mutating func change(_ frontend: Frontend, to value: Bytes?, leaving ranges: [Range<Int>]) {
        let key = frontend.key
        if !ranges.isEmpty { superseded[key, default: []] += ranges }
        if let value { services.put(key, value) } else { services.remove(key) }
        if !services.isDirty(key) { confirm(key) }
    }

    /// Slots for all backends of a program; ranges that hold what is wanted stay.
    private mutating func place(
        _ program: ServiceProgram, at frontend: Frontend, reusing old: Programmed?
    ) -> Result<SlotRanges, DatapathProblem.Full> {
        let inside: Range<Int>
        let isKept = old.map { backends(of: $0, \.inside, \.backends, at: frontend) == program.backends } ?? false
        if let old, isKept {
            inside = old.ranges.inside
        } else {
            switch place(program.backends, frontend.ipProtocol) {
            case .success(let placed): inside = placed
            case .failure(let full): return .failure(full)
            }
        }
        if program.outside.isEmpty { return .success(SlotRanges(inside: inside)) }
        let size = program.maglevTableSize ?? 0
        if size == 0, program.outside == program.backends {
            return .success(SlotRanges(inside: inside, outside: inside))
        }
        if let old, old.ranges.tableSize == size,
            backends(of: old, \.outsideBackends, \.outside, at: frontend) == program.outside
        {
            return .success(SlotRanges(inside: inside, outside: old.ranges.outside, tableSize: size))
        }
        return place(program.outside, frontend.ipProtocol, tableSize: size).map {
            SlotRanges(inside: inside, outside: $0, tableSize: size)
        }.mapError {
            if !isKept { free(inside) }
            return $0
        }
    }

    private func backends(
        of frontend: Programmed, _ range: KeyPath<SlotRanges, Range<Int>>, _ wanted: KeyPath<ServiceProgram, [Backend]>,
        at key: Frontend
    ) -> [Backend]? {
        frontend.program?[keyPath: wanted] ?? resolve(frontend.ranges[keyPath: range], of: key)
    }

    /// Gives a range back to which nothing leads.
    private mutating func free(_ range: Range<Int>) {
        for slot in range { releaseBackend(ofSlot: slot) }
        ranges.release(range)
    }

    /// Writes fresh slots for the backends, and behind them for their table.
    private mutating func place(
        _ wanted: [Backend], _ ipProtocol: IPProtocol, tableSize: Int = 0
    ) -> Result<Range<Int>, DatapathProblem.Full> {
        guard let range = ranges.allocate(wanted.count + tableSize) else {
            return .failure(.init(reason: .slotsExhausted))
        }
        var indexes: [Int] = []
        for (slot, backend) in zip(range, wanted) {
            guard let index = directory.acquire(backend.address, ipProtocol) else {
                for taken in range.lowerBound..<slot { releaseBackend(ofSlot: taken) }
                ranges.release(range)
                return .failure(.init(reason: .backendsExhausted))
            }
            backends.set(index, apus_backend(backend.address, ipProtocol))
            slots.set(slot, UInt32(index))
            indexes.append(index)
        }
        guard tableSize > 0 else { return .success(range) }
        for (slot, place) in zip(range.dropFirst(wanted.count), MaglevTable(wanted, size: tableSize).places) {
            directory.retain(indexes[place])
            slots.set(slot, UInt32(indexes[place]))
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

    /// Whether everything that a value of `services` leads to is in the kernel. Ranges of clients that could not be
    /// written hold nothing up: without them their clients are kept out, and with the former value others would come in.
    func isReady(_ value: Bytes) -> Bool {
        guard let service = value.load(apus_service.self) else { return true }
        guard slots.hasDirty || backends.hasDirty else { return true }
        return service.ranges.all.joined().allSatisfy { slot in
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
        for (range, _) in due { free(range) }
        retryWaiting(names: &names)
    }

    var nextDeadline: UInt64? { leaving.compactMap(\.deadline).min() }

    /// Ranges on their way out.
    var leavingCount: Int { leaving.count + superseded.count }

    /// The slots that are in use, wanted or on their way out.
    var usedSlots: [Range<Int>] {
        programmed.values.flatMap(\.ranges.all) + leaving.map(\.range) + superseded.values.joined()
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
        isExposed = isExposed || service.outside_slot_count != 0
        let inside = take(service.ranges.inside, of: frontend)
        let isShared = service.ranges.outside == service.ranges.inside
        let outside = isShared ? inside : take(service.ranges.outside, of: frontend)
        ids.retain(service.ids)
        let ranges = SlotRanges(
            inside: inside, outside: outside, tableSize: outside.isEmpty ? 0 : service.ranges.tableSize)
        programmed[frontend] = Programmed(ids: service.ids, ranges: ranges, program: nil)
    }

    /// Takes over a range of slots; an empty one where it is impossible.
    private mutating func take(_ range: Range<Int>, of frontend: Frontend) -> Range<Int> {
        guard !range.isEmpty, resolve(range, of: frontend) != nil, ranges.reserve(range) else { return 0..<0 }
        for slot in range { directory.retain(Int(slots.load(UInt32.self, at: slot) ?? 0)) }
        return range
    }

    /// Lets go of what no edit has asked for.
    mutating func removeUnclaimed(names: inout HashTable) {
        for key in services.unclaimed.sorted(by: memoryOrder) {
            if let frontend = Frontend(key: key), programmed[frontend] != nil {
                remove(frontend, names: &names)
            }
        }
        services.removeUnclaimed(afterGrace: false)
        sourceRanges.table.removeUnclaimed(afterGrace: true)
        for index in directory.removeUnused() { backends.set(index, apus_backend()) }
        ids.removeUnused(names: &names)
    }
}

extension apus_service {
    /// The ranges as the value has them, possible or not.
    var ranges: SlotRanges {
        func range(_ first: UInt32, _ count: UInt32) -> Range<Int> { Int(first)..<Int(first) + Int(count) }
        // A table without a backend is no table.
        let table = outside_slot_count == 0 ? 0 : UInt32(table_size)
        return SlotRanges(
            inside: range(first_slot, slot_count),
            outside: range(outside_first_slot, outside_slot_count.addingReportingOverflow(table).partialValue),
            tableSize: Int(table))
    }
}

extension ServiceProgram {
    /// The same Service with other backends.
    fileprivate func with(backends: [Backend], outside: [Backend]) -> ServiceProgram {
        ServiceProgram(
            service: service, portName: portName, kind: kind, backends: backends, outside: outside,
            sourceRanges: sourceRanges, admitsNode: admitsNode, affinitySeconds: affinitySeconds,
            maglevTableSize: maglevTableSize)
    }
}
