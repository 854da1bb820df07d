/// What a series of samples says, robust against the few that something else disturbed.
struct Summary: Sendable, Equatable {
    var median: Double
    var minimum: Double
    var maximum: Double
    /// The median absolute deviation from the median, in the unit of the samples.
    var deviation: Double

    /// Nil when there are no samples.
    init?(_ samples: [Double]) {
        guard let low = samples.min(), let high = samples.max() else { return nil }
        let middle = Self.median(samples)
        median = middle
        minimum = low
        maximum = high
        deviation = Self.median(samples.map { abs($0 - middle) })
    }

    /// The deviation as a part of the median.
    var relativeDeviation: Double { median == 0 ? 0 : deviation / median }

    private static func median(_ samples: [Double]) -> Double {
        let sorted = samples.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}

/// All samples of a run.
struct Samples: Sendable {
    struct Key: Sendable, Hashable {
        var mode: Mode
        var metric: Metric
        var peer: PeerKind
    }

    /// One sample a round, in the order of the rounds.
    private(set) var series: [Key: [Double]] = [:]

    mutating func add(_ sample: Double, to key: Key) { series[key, default: []].append(sample) }

    func summary(of key: Key) -> Summary? { series[key].flatMap(Summary.init) }

    /// The ratios of two peers, round by round: what drifts with time is the same in both and drops out.
    ///
    /// A peer that knows no Services is compared by what it does when the client uses the server's own address.
    func ratios(of subject: PeerKind, to reference: PeerKind, _ mode: Mode, _ metric: Metric) -> Summary? {
        guard let subjects = series[Key(mode: mode, metric: metric, peer: subject)] else { return nil }
        let direct = Metric(workload: metric.workload, destination: .pod)
        let like = reference.metrics.contains(metric) || reference.hasServices ? metric : direct
        guard let references = series[Key(mode: mode, metric: like, peer: reference)] else { return nil }
        return Summary(zip(subjects, references).map { $0 / $1 })
    }
}
