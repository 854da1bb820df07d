internal import Datapath

/// How many of the node's ports are in use towards each destination, and where they are about to run out, as a value.
struct PortUse: Sendable {
    /// Shares of all ports at which a destination becomes crowded, and below which it is so no more: far enough from
    /// each other to be told once, and early enough, as the search for a port fails before all are taken.
    static let crowded = 0.75
    static let relieved = 0.6

    /// How many ports there are towards each destination.
    let capacity: Int
    /// What is in use; empty before the first look.
    private(set) var counts: [PortDestination: Int] = [:]
    /// The destinations that most ports are in use towards.
    private(set) var crowdedDestinations: Set<PortDestination> = []

    init(capacity: Int) { self.capacity = max(1, capacity) }

    /// Takes in a look at all connections. Returns the destinations that have become crowded, in order.
    mutating func note(_ counts: [PortDestination: Int]) -> [PortDestination] {
        self.counts = counts
        let before = crowdedDestinations
        crowdedDestinations = Set(
            counts.filter { destination, count in
                share(count) >= (before.contains(destination) ? Self.relieved : Self.crowded)
            }.keys)
        return crowdedDestinations.subtracting(before).sorted()
    }

    private func share(_ count: Int) -> Double { Double(count) / Double(capacity) }

    /// The destinations with the most ports, in order, and how many ports are in use towards all others together.
    func greatest(_ most: Int) -> (first: [(destination: PortDestination, count: Int)], others: Int) {
        let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let first = sorted.prefix(most).map { (destination: $0.key, count: $0.value) }
        return (first, sorted.dropFirst(most).reduce(0) { $0 + $1.value })
    }

    /// What is to be said of a crowded destination.
    func message(_ destination: PortDestination) -> String {
        "\(counts[destination] ?? 0) of \(capacity) ports of the node are in use towards \(destination): new connections "
            + "of pods to it will fail when they run out (--source-ports)"
    }
}
