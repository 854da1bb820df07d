internal import Addressing
internal import DatapathABI
internal import LoadBalancing

/// Frontends, the ranges of slots that they lead to, and the backends that those name.
struct ServiceTables: Sendable {
    /// A frontend that is programmed.
    private struct Programmed {
        var ids: ServiceIDs
        var ranges: SlotRanges
        /// Nil for one that was found in the kernel and not asked for yet.
        var program: ServiceProgram?
        /// Indexes of backends that get nothing new and keep what was led to them.
        var held: [Int] = []
    }

    var services = HashTable(.services)
    var slots: ArrayTable
    var backends: BackendDirectory
    var sourceRanges = SourceRangeTable()
    /// Whether there is, or was, a frontend for clients outside.
    private(set) var isExposed = false
    /// Programs for which there was no room: the frontend keeps the backends that it had, or refuses.
    private(set) var waiting: [Frontend: (program: ServiceProgram, reason: DatapathProblem.Reason)] = [:]

    private var programmed: [Frontend: Programmed] = [:]
    private var ranges: RangeAllocator
    private var ids: ServiceDirectory
    /// What the kernel's entry of a frontend may still lead to.
    private var superseded: [Bytes: FormerLead] = [:]
    /// That to which nothing leads, since the given time at the latest.
    private var leaving: [(former: FormerLead, deadline: UInt64?)] = []

    init(capacities: TableCapacities) {
        slots = ArrayTable(.slots, capacity: capacities.slots)
        backends = BackendDirectory(capacity: capacities.backends)
        ranges = RangeAllocator(0..<capacities.slots)
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
        isExposed = isExposed || program.isForOutside
        sourceRanges.acquire(program.sourceRanges, of: fresh.sourceRanges)
        let held = hold(placed, at: frontend)
        let isHeldAlready = held == old?.held
        // One use each is enough, and one that came and went would have it tried again for ever where there is no room.
        if isHeldAlready { held.forEach { letGo($0) } }
        programmed[frontend] = Programmed(ids: fresh, ranges: ranges, program: placed, held: held)
        let value = apus_service(ranges, fresh, program, at: frontend)
        change(
            frontend, to: Bytes(of: value),
            leaving: FormerLead(
                ranges: (old?.ranges.all ?? []).filter { !ranges.all.contains($0) },
                held: isHeldAlready ? [] : old?.held ?? []))
        if let old { release(old, names: &names) }
    }

    /// Where a program's backends are. Where there is no room it waits for some, and meanwhile it does without its table,
    /// or else the Service port keeps the backends that it had, under all else of the new program: who may not come any
    /// more is kept out at once.
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
            let plain = program.withoutTable
            if program.maglevTableSize != nil, case .success(let ranges) = place(plain, at: frontend, reusing: old) {
                return (ranges, plain)
            }
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

    /// Keeps what was led to backends that get nothing new: to one without an index nothing was.
    private mutating func hold(_ program: ServiceProgram, at frontend: Frontend) -> [Int] {
        if program.kept.isEmpty { return [] }
        let owner = program.backendOwner(frontend.ipProtocol)
        return program.kept.compactMap { backends.hold(BackendKey($0.address, frontend.ipProtocol, owner: owner)) }
    }

    /// Gives back a use that nothing in force has needed.
    private mutating func letGo(_ index: Int) {
        backends.leave(index)
        backends.release(index)
    }

    private mutating func remove(_ frontend: Frontend, names: inout HashTable) {
        waiting[frontend] = nil
        guard let old = programmed.removeValue(forKey: frontend) else { return }
        change(frontend, to: nil, leaving: FormerLead(ranges: old.ranges.all, held: old.held))
        release(old, names: &names)
    }

    private mutating func change(_ frontend: Frontend, to value: Bytes?, leaving former: FormerLead) {
        let key = frontend.key
        if !former.isEmpty { superseded[key, default: FormerLead()].add(former) }
        if let value { services.put(key, value) } else { services.remove(key) }
        if !services.isDirty(key) { confirm(key) }
    }

    /// Slots for all backends of a program; ranges that hold what is wanted stay.
    private mutating func place(
        _ program: ServiceProgram, at frontend: Frontend, reusing old: Programmed?
    ) -> Result<SlotRanges, DatapathProblem.Full> {
        let inside: Range<Int>
        let owner = program.backendOwner(frontend.ipProtocol)
        let old = old.flatMap { isOf(owner, $0.ranges) ? $0 : nil }
        let isKept = old.map { backends(of: $0, \.inside, \.backends, at: frontend) == program.backends } ?? false
        if let old, isKept {
            inside = old.ranges.inside
        } else {
            switch place(program.backends, frontend.ipProtocol, owner) {
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
        return place(program.outside, frontend.ipProtocol, owner, tableSize: size).map {
            SlotRanges(inside: inside, outside: $0, tableSize: size)
        }.mapError {
            if !isKept {
                leave(inside)
                free(inside)
            }
            return $0
        }
    }

    /// Whether these slots lead to entries of an owner: the frontend may have been another Service's.
    private func isOf(_ owner: UInt32, _ ranges: SlotRanges) -> Bool {
        [ranges.inside, ranges.outsideBackends].joined().allSatisfy { slot in
            slots.load(UInt32.self, at: slot).map { backends.serves(owner, at: Int($0)) } ?? false
        }
    }

    private func backends(
        of frontend: Programmed, _ range: KeyPath<SlotRanges, Range<Int>>, _ wanted: KeyPath<ServiceProgram, [Backend]>,
        at key: Frontend
    ) -> [Backend]? {
        frontend.program?[keyPath: wanted] ?? resolve(frontend.ranges[keyPath: range], of: key)
    }

    /// Nothing leads to a range any more.
    private mutating func leave(_ range: Range<Int>) {
        for slot in range { index(ofSlot: slot).map { backends.leave($0) } }
    }

    /// Gives a range back that was left.
    private mutating func free(_ range: Range<Int>) {
        for slot in range { index(ofSlot: slot).map { backends.release($0) } }
        ranges.release(range)
    }

    private func index(ofSlot slot: Int) -> Int? { slots.load(UInt32.self, at: slot).map(Int.init) }

    /// Writes fresh slots for the backends, and behind them for their table.
    private mutating func place(
        _ wanted: [Backend], _ ipProtocol: IPProtocol, _ owner: UInt32, tableSize: Int = 0
    ) -> Result<Range<Int>, DatapathProblem.Full> {
        guard let range = ranges.allocate(wanted.count + tableSize) else {
            return .failure(.init(reason: .slotsExhausted))
        }
        var indexes: [Int] = []
        for (slot, backend) in zip(range, wanted) {
            guard let index = backends.acquire(BackendKey(backend.address, ipProtocol, owner: owner)) else {
                for index in indexes {
                    backends.leave(index)
                    backends.release(index)
                }
                ranges.release(range)
                return .failure(.init(reason: .backendsExhausted))
            }
            slots.set(slot, UInt32(index))
            indexes.append(index)
        }
        guard tableSize > 0 else { return .success(range) }
        for (slot, place) in zip(range.dropFirst(wanted.count), MaglevTable(wanted, size: tableSize).places) {
            backends.retain(indexes[place])
            slots.set(slot, UInt32(indexes[place]))
        }
        return .success(range)
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
        guard slots.hasDirty || backends.entries.hasDirty else { return true }
        return service.ranges.all.joined().allSatisfy { slot in
            !slots.isDirty(slot) && index(ofSlot: slot).map { !backends.entries.isDirty($0) } ?? false
        }
    }

    /// The kernel's entry of the frontend is as wanted: what it led to is on its way out.
    mutating func confirm(_ key: Bytes) {
        services.confirm(key)
        guard let former = superseded.removeValue(forKey: key) else { return }
        for range in former.ranges { leave(range) }
        for index in former.held { backends.leave(index) }
        leaving.append((former, nil))
    }

    /// Frees that whose time has come and starts the time of the others.
    mutating func expireLeaving(now: UInt64, grace: UInt64, names: inout HashTable) {
        for position in leaving.indices where leaving[position].deadline == nil {
            leaving[position].deadline = now + grace
        }
        let due = leaving.filter { $0.deadline.map { $0 <= now } ?? false }
        guard !due.isEmpty else { return }
        leaving.removeAll { $0.deadline.map { $0 <= now } ?? false }
        for (former, _) in due {
            for range in former.ranges { free(range) }
            for index in former.held { backends.release(index) }
        }
        retryWaiting(names: &names)
    }

    var nextDeadline: UInt64? { leaving.compactMap(\.deadline).min() }

    /// Frontends of which something is on its way out.
    var leavingCount: Int { leaving.count + superseded.count }

    /// The slots that are in use, wanted or on their way out.
    var usedSlots: [Range<Int>] {
        programmed.values.flatMap(\.ranges.all) + leaving.flatMap(\.former.ranges)
            + superseded.values.flatMap(\.ranges)
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
                let backend = backends.entries.load(apus_backend.self, at: Int(index)), backend.in_use != 0,
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
        for slot in range { index(ofSlot: slot).map { backends.retain($0) } }
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
        backends.removeUnused()
        ids.removeUnused(names: &names)
    }
}

extension ServiceProgram {
    /// The same Service with other backends.
    fileprivate func with(backends: [Backend], outside: [Backend]) -> ServiceProgram {
        ServiceProgram(
            service: service, portName: portName, kind: kind, backends: backends, outside: outside,
            isForOutside: isForOutside, isServedElsewhere: isServedElsewhere, kept: kept, sourceRanges: sourceRanges,
            admitsNode: admitsNode, affinitySeconds: affinitySeconds, maglevTableSize: maglevTableSize)
    }

    /// The same Service, whose clients are led by chance.
    fileprivate var withoutTable: ServiceProgram {
        ServiceProgram(
            service: service, portName: portName, kind: kind, backends: backends, outside: outside,
            isForOutside: isForOutside, isServedElsewhere: isServedElsewhere, kept: kept, sourceRanges: sourceRanges,
            admitsNode: admitsNode, affinitySeconds: affinitySeconds)
    }
}
