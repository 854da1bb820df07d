@testable import Datapath
import DatapathABI

/// Maps in memory: takes writes one by one, fails some of them, and shows every state in between.
final class FakeKernel: MapWriter, MapReader {
    var hashes: [DatapathTable: [Bytes: Bytes]] = [:]
    var arrays: [DatapathTable: Bytes] = [:]
    /// The most entries of a hash map; others have room without end.
    var limits: [DatapathTable: Int] = [:]
    /// Decides whether the next write fails.
    var fails: (DatapathTable) -> Bool = { _ in false }
    /// Sees the maps after each single write.
    var afterWrite: (FakeKernel) -> Void = { _ in }
    /// Called when a wait for packets has ended, with its number.
    var afterWait: (UInt64) -> Void = { _ in }
    private(set) var waits: UInt64 = 0
    var failsToWait = false
    /// Whether a full map takes no other value of what it holds, as prefix maps of kernels before 6.13.
    var refusesReplacement = false
    private(set) var writes = 0
    /// Decides whether the next change of what names lead to fails.
    var failsNames: () -> Bool = { false }
    /// Whether the kernel takes no automaton.
    var refusesAutomata = false
    /// Why the names that are held can't be given their sets in an automaton that the kernel has taken.
    var walkFailure: MapError?
    /// Called before what was learned for a policy is copied.
    var beforeCopy: (FakeKernel) -> Void = { _ in }
    /// The automaton in force, and for which policies what was learned was copied: from the first to the second.
    private(set) var installed: DomainProgram?
    private(set) var copies: [[UInt32]] = []

    static let refused = MapError(code: 5, description: "injected")
    static let full = MapError(code: 7, description: "full")

    func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult {
        for (index, entry) in entries.enumerated() {
            precondition(entry.key.count == table.keySize && entry.value.count == table.valueSize)
            if fails(table) { return BatchResult(done: index, error: Self.refused) }
            if let limit = limits[table], refusesReplacement || hashes[table]?[entry.key] == nil,
                hashes[table]?.count ?? 0 >= limit
            {
                return BatchResult(done: index, error: Self.full)
            }
            hashes[table, default: [:]][entry.key] = entry.value
            wrote()
        }
        return BatchResult(done: entries.count)
    }

    func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult {
        for (index, key) in keys.enumerated() {
            if fails(table) { return BatchResult(done: index, error: Self.refused) }
            hashes[table]?[key] = nil
            wrote()
        }
        return BatchResult(done: keys.count)
    }

    func store(_ table: DatapathTable, first: Int, _ elements: Bytes) -> MapError? {
        if fails(table) { return Self.refused }
        let size = table.valueSize
        for index in 0..<elements.count / size {
            var array = arrays.removeValue(forKey: table) ?? []
            let start = (first + index) * size
            if array.count < start + size { array += Bytes(zeros: start + size - array.count) }
            array.replaceSubrange(start..<start + size, with: elements[index * size..<(index + 1) * size])
            arrays[table] = array
            wrote()
        }
        return nil
    }

    func beginWait() -> UInt64 {
        waits += 1
        return waits
    }

    func endWait(_ number: UInt64) -> MapError? {
        if failsToWait || fails(.policyEpoch) { return Self.refused }
        afterWait(number)
        return nil
    }

    func install(_ program: DomainProgram?) -> DomainInstallation {
        if failsNames() || refusesAutomata { return .refused(Self.refused) }
        installed = program
        return walkFailure.map { .unfinished($0) } ?? .done
    }

    func copyLearned(from old: UInt32, to new: UInt32) -> MapError? {
        beforeCopy(self)
        if failsNames() { return Self.refused }
        copies.append([old, new])
        return nil
    }

    private func wrote() {
        writes += 1
        afterWrite(self)
    }

    func entries(of table: DatapathTable) -> [TableEntry] {
        (hashes[table] ?? [:]).map { TableEntry(key: $0.key, value: $0.value) }.sorted { memoryOrder($0.key, $1.key) }
    }

    func elements(of table: DatapathTable) -> Bytes { arrays[table] ?? [] }

    /// Which of the values counts that pointers to policies have.
    var epoch: Int { Int(load(UInt32.self, .policyEpoch, 0) ?? 0) % PolicyEpoch.count }

    /// What is in force of an endpoint, as if it were so in every epoch.
    func endpoint(_ slot: Int) -> apus_endpoint? {
        guard var endpoint = load(apus_endpoint.self, .endpoints, slot) else { return nil }
        endpoint.setEpochs(endpoint[epoch])
        return endpoint
    }

    /// What is in force of an address or prefix; nil: as if there were no entry.
    func peer(_ table: DatapathTable, _ key: Bytes) -> Bytes? {
        hashes[table]?[key].flatMap { PeerRecords.value($0, in: epoch) }
    }

    /// What is in force of all of them.
    func peers(_ table: DatapathTable) -> [Bytes: Bytes] {
        (hashes[table] ?? [:]).compactMapValues { PeerRecords.value($0, in: epoch) }
    }

    /// An element of an array as a value.
    func load<Value: BitwiseCopyable>(_ type: Value.Type, _ table: DatapathTable, _ index: Int) -> Value? {
        arrays[table]?.load(type, at: index * table.valueSize)
    }
}

/// A clock and a kernel for one set of tables.
struct Rig {
    var tables: DatapathTables
    var kernel = FakeKernel()
    var now: UInt64 = 0

    init(_ capacities: TableCapacities = .small) {
        tables = DatapathTables(node: "node-1", startedAt: 1, capacities: capacities, grace: 10)
    }

    /// One pass, a moment later.
    @discardableResult
    mutating func program(after step: UInt64 = 1) -> ProgrammingReport {
        now += step
        return tables.program(into: &kernel, now: now)
    }

    /// Passes until nothing is left to write and every grace period is over.
    mutating func settle(limit: Int = 1000) -> ProgrammingReport {
        var report = ProgrammingReport()
        for _ in 0..<limit {
            report = program(after: 10)
            if report.isComplete, report.written == 0, report.nextDeadline == nil { break }
        }
        return report
    }

    /// Other tables of a restarted agent over the same kernel.
    func restarted() throws -> Rig {
        var other = self
        other.tables = DatapathTables(
            node: tables.node, startedAt: 2, capacities: tables.capacities, grace: tables.grace)
        try other.tables.adopt(kernel)
        return other
    }
}

extension TableCapacities {
    static let small = TableCapacities(endpoints: 64, services: 64, slots: 256, backends: 256, names: 1024)
}

/// The phases and writes of a plan as text.
func text(of plan: [PlannedWrite]) -> String {
    var lines: [String] = []
    var phase: ProgrammingPhase?
    for planned in plan {
        if planned.phase != phase { lines.append("\(planned.phase.rawValue):") }
        phase = planned.phase
        let table = planned.write.table
        switch planned.write.change {
        case .put(let entry):
            lines.append("  \(table.rawValue) \(table.text(ofKey: entry.key)) = \(table.text(ofValue: entry.value))")
        case .delete(let key): lines.append("  \(table.rawValue) \(table.text(ofKey: key)) -")
        case .store(let first, let elements):
            for (offset, start) in stride(from: 0, to: elements.count, by: table.valueSize).enumerated() {
                let value = Bytes(elements[start..<start + table.valueSize])
                lines.append("  \(table.rawValue) \(first + offset) = \(table.text(ofValue: value))")
            }
        }
    }
    return lines.joined(separator: "\n")
}
