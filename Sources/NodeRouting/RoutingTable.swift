/// Writes one entry at a time.
public protocol RoutingWriter: ~Copyable {
    associatedtype Failure: Error
    /// Makes an entry, or changes the one of its key.
    mutating func write(_ entry: RoutingEntry) throws(Failure)
    /// Removes an entry; one that is gone is no error.
    mutating func remove(_ entry: RoutingEntry) throws(Failure)
}

/// What is wanted of the kernel, what it has, and the steps from the one to the other.
///
/// In a pass, where a packet goes is written before a route leads it there, and taken away after the route: at no time a
/// route leads to a hardware address that is not known, or to one that no node has.
public struct RoutingTable: Sendable {
    public typealias Key = RoutingEntry.Key

    private var wanted: [Key: RoutingEntry] = [:]
    private var present: [Key: RoutingEntry] = [:]
    private var differing: Set<Key> = []
    /// Whether what nobody wants is to go. Not before all Nodes have been read.
    public var removes = false

    public init() {}

    /// What was done in a pass, and what was not.
    public struct Report: Sendable {
        public var written = 0
        public var removed = 0
        /// The entries that the kernel refused, with why.
        public var failures: [(key: Key, reason: String)] = []

        public init() {}
    }

    /// What is not as it should be under a key.
    public struct Drift: Sendable, Hashable {
        public var key: Key
        public var wanted: RoutingEntry?
        public var present: RoutingEntry?
    }

    /// Whether a pass would do nothing.
    public var isComplete: Bool { differing.allSatisfy { wanted[$0] == nil && !removes } }
    public var wantedCount: Int { wanted.count }

    /// Takes in what there should be under some keys.
    public mutating func want(_ keys: Set<Key>, by plan: RoutingPlan) {
        for key in keys {
            wanted[key] = plan.entry(for: key)
            compare(key)
        }
    }

    /// Takes in what there should be.
    public mutating func wantAll(by plan: RoutingPlan) {
        let keys = Set(wanted.keys)
        wanted = plan.entries
        for key in keys.union(wanted.keys) { compare(key) }
    }

    /// Takes in all that the kernel has.
    public mutating func found(_ entries: [RoutingEntry]) {
        let keys = Set(present.keys)
        present = Dictionary(entries.map { ($0.key, $0) }) { $1 }
        for key in keys.union(present.keys).union(wanted.keys) { compare(key) }
    }

    /// Takes in what the kernel has under one key now. True where that is not what should be there.
    public mutating func observed(_ key: Key, _ entry: RoutingEntry?) -> Bool {
        present[key] = entry
        compare(key)
        return differing.contains(key)
    }

    /// What differs from what is wanted.
    public var drift: [Drift] {
        differing.sorted().map { Drift(key: $0, wanted: wanted[$0], present: present[$0]) }
    }

    private mutating func compare(_ key: Key) {
        if wanted[key] == present[key] { differing.remove(key) } else { differing.insert(key) }
    }

    /// Writes what differs. What fails stays so, and what would lead to it waits.
    public mutating func pass<Writer: RoutingWriter & ~Copyable>(_ writer: inout Writer) -> Report {
        var report = Report()
        let keys = differing.sorted()
        for key in keys where wanted[key] != nil { write(key, &writer, &report) }
        guard removes else { return report }
        let gone = keys.filter { wanted[$0] == nil }.reversed()
        for rank in (0...2).reversed() {
            // Something that could not be changed or removed may lead there.
            guard !differing.contains(where: { $0.rank > rank }) else { break }
            for key in gone where key.rank == rank { remove(key, &writer, &report) }
        }
        return report
    }

    private mutating func write<Writer: RoutingWriter & ~Copyable>(
        _ key: Key, _ writer: inout Writer, _ report: inout Report
    ) {
        guard let entry = wanted[key], isReachable(entry) else { return }
        do {
            try writer.write(entry)
            present[key] = entry
            compare(key)
            report.written += 1
        } catch { report.failures.append((key, "\(error)")) }
    }

    /// Whether what an entry leads to is there.
    private func isReachable(_ entry: RoutingEntry) -> Bool {
        switch entry {
        case .forwarding: true
        case .neighbour(_, let hardware, _):
            wanted[.forwarding(hardware)] == present[.forwarding(hardware)]
        case .route(let route):
            // Where neighbours are found by asking there is none of ours.
            wanted[.neighbour(route.gateway)] == present[.neighbour(route.gateway)]
                || wanted[.neighbour(route.gateway)] == nil
        }
    }

    private mutating func remove<Writer: RoutingWriter & ~Copyable>(
        _ key: Key, _ writer: inout Writer, _ report: inout Report
    ) {
        guard let entry = present[key] else { return }
        do {
            try writer.remove(entry)
            present[key] = nil
            compare(key)
            report.removed += 1
        } catch { report.failures.append((key, "\(error)")) }
    }
}
