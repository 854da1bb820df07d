/// A small, fast generator (SplitMix64) whose whole sequence follows from its seed.
public struct RandomSource: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A generator that always yields the same sequence for the same seed.
    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

extension RandomSource {
    mutating func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &self) }

    /// True `percent` times in a hundred.
    mutating func chance(_ percent: Int) -> Bool { roll(100) < percent }

    /// Mostly both families, sometimes one of them.
    mutating func families() -> Set<Pools.Family> {
        switch roll(10) {
        case 0...1: [.v4]
        case 2...3: [.v6]
        default: [.v4, .v6]
        }
    }

    /// One element or more, in random order and perhaps some of them twice.
    mutating func some<Element>(of elements: [Element]) -> [Element] {
        (0...roll(elements.count)).map { _ in elements.pick(&self) }
    }
}

extension Array {
    /// A random element; the array must not be empty.
    func pick(_ random: inout RandomSource) -> Element { self[Int.random(in: 0..<count, using: &random)] }
}
