internal import Addressing

/// A table that leads each of its places to one of a set of backends (Eisenbud and others, "Maglev: A Fast and Reliable
/// Software Network Load Balancer", NSDI 2016, section 3.4).
///
/// It follows from the set and the size alone, so every node has the same one. Each backend takes places in an order of
/// its own, one at a time in turn with the others: no backend has more than one place more than another, and where one
/// goes, hardly any place moves besides its own.
public struct MaglevTable: Sendable, Equatable {
    /// The usual number of places: a hundred for each of forty backends.
    public static let defaultSize = 4093
    /// The largest prime that an entry of `services` has room for.
    public static let largestSize = 65_521

    /// The position of a backend among all, for each place.
    public let places: [Int]

    /// The table of different backends, in whatever order; empty where there are none.
    ///
    /// - Parameter size: a prime, so that every backend's order comes by every place; a hundred times the number of
    ///   backends, for even shares.
    public init(_ backends: [Backend], size: Int) {
        guard !backends.isEmpty, size > 1 else {
            places = backends.isEmpty ? [] : [Int](repeating: 0, count: max(0, size))
            return
        }
        // In turn by address, whatever the order is that they come in.
        let turns = backends.indices.sorted { backends[$0] < backends[$1] }
        var walks = turns.map { Walk(of: backends[$0], size) }
        var taken = [Int](repeating: -1, count: size)
        var left = size
        while left > 0 {
            for turn in walks.indices.prefix(left) {
                taken[walks[turn].next { taken[$0] < 0 }] = turns[turn]
            }
            left -= min(left, walks.count)
        }
        places = taken
    }

    /// Whether a number of places will do.
    public static func isPrime(_ number: Int) -> Bool {
        guard number > 1 else { return false }
        var divisor = 2
        while divisor * divisor <= number {
            if number % divisor == 0 { return false }
            divisor += 1
        }
        return true
    }
}

/// The order in which a backend takes places: each once, as the size is a prime and the step is smaller.
private struct Walk {
    private var place: Int
    private let step: Int
    private let size: Int

    init(of backend: Backend, _ size: Int) {
        let hash = Self.mix(
            Self.mix(Self.mix(backend.address.address.high) ^ backend.address.address.low)
                ^ UInt64(backend.address.port))
        place = Int(hash % UInt64(size))
        step = Int(Self.mix(hash) % UInt64(size - 1)) + 1
        self.size = size
    }

    /// The next place that is free.
    mutating func next(where isFree: (Int) -> Bool) -> Int {
        while !isFree(place) { advance() }
        defer { advance() }
        return place
    }

    private mutating func advance() {
        place += step
        if place >= size { place -= size }
    }

    /// The finalizer of SplitMix64 (Steele, Lea, Flood 2014) over a counter's step.
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
