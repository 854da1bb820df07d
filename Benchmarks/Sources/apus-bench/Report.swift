/// What a run found, for people and for programs.
struct Report: Codable {
    struct Rate: Codable {
        var mode: String
        var metric: String
        var peer: String
        var unit: String
        var median: Double
        var deviation: Double
        var samples: [Double]
    }

    struct Ratio: Codable {
        var mode: String
        var metric: String
        var subject: String
        var reference: String
        var median: Double
        var minimum: Double
        var maximum: Double
    }

    /// A number of its own, such as the memory of the agent.
    struct Figure: Codable {
        var name: String
        var value: Double
        var unit: String

        init(_ name: String, _ value: Double, _ unit: String) {
            self.name = name
            self.value = value
            self.unit = unit
        }
    }

    /// Whether a budget was kept.
    struct BudgetVerdict: Codable, Equatable {
        var name: String
        var bound: String
        var value: Double
        var isMet: Bool
    }

    var machine: Machine
    var rounds: Int
    var seconds: Double
    var rates: [Rate]
    var ratios: [Ratio]
    var figures: [Figure]
    /// The budgets of which something was measured.
    var budgets: [BudgetVerdict] = []
    /// Measurements that failed once and were repeated.
    var repeated: [String]

    init(machine: Machine, settings: Settings, samples: Samples, figures: [Figure], repeated: [String]) {
        self.machine = machine
        rounds = settings.rounds
        seconds = settings.seconds
        self.figures = figures
        self.repeated = repeated
        rates = Self.everyMetric { mode, metric in
            PeerKind.allCases.compactMap { Self.rate(of: $0, mode, metric, samples) }
        }
        ratios = Self.everyMetric { mode, metric in
            Comparison.all.compactMap { Self.ratio($0, mode, metric, samples) }
        }
        budgets = Budget.all.flatMap { $0.verdicts(in: self) }
    }

    /// The value of a figure, by its name.
    func figure(_ name: String) -> Double? { figures.first { $0.name == name }?.value }

    private static func everyMetric<Element>(_ body: (Mode, Metric) -> [Element]) -> [Element] {
        Mode.allCases.flatMap { mode in Metric.all.flatMap { body(mode, $0) } }
    }

    private static func rate(of peer: PeerKind, _ mode: Mode, _ metric: Metric, _ samples: Samples) -> Rate? {
        let key = Samples.Key(mode: mode, metric: metric, peer: peer)
        guard let summary = samples.summary(of: key) else { return nil }
        return Rate(
            mode: mode.rawValue, metric: metric.title, peer: peer.rawValue, unit: metric.workload.unit,
            median: summary.median, deviation: summary.relativeDeviation, samples: samples.series[key] ?? [])
    }

    private static func ratio(
        _ comparison: Comparison, _ mode: Mode, _ metric: Metric, _ samples: Samples
    ) -> Ratio? {
        let (subject, reference) = (comparison.subject, comparison.reference)
        guard let summary = samples.ratios(of: subject, to: reference, mode, metric) else { return nil }
        return Ratio(
            mode: mode.rawValue, metric: metric.title, subject: subject.rawValue, reference: reference.rawValue,
            median: summary.median, minimum: summary.minimum, maximum: summary.maximum)
    }
}
