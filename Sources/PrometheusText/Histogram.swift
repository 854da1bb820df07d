/// How often values fell between bounds, with their sum.
public struct Histogram: Sendable, Equatable {
    /// The upper bounds, which belong to their buckets, in ascending order; what lies above the last is counted too.
    public let bounds: [Double]
    /// How many values fell into each bucket alone; the last one is what lies above all bounds.
    public private(set) var counts: [UInt64]
    public private(set) var sum: Double = 0

    public init(bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// `count` bounds from `first` on, each `factor` times the one before.
    public init(exponential first: Double, factor: Double, count: Int) {
        var bound = first
        self.init(
            bounds: (0..<count).map { _ in
                defer { bound *= factor }
                return bound
            })
    }

    /// How many values there were.
    public var count: UInt64 { counts.reduce(0, +) }

    /// Counts a value.
    public mutating func observe(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}
