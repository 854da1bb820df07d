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
    struct Figure: Codable, Equatable {
        var name: String
        /// The median of the samples.
        var value: Double
        var unit: String
        /// One a round where it was measured in each, in their order; otherwise the only one.
        private(set) var samples: [Double]

        init(_ name: String, _ value: Double, _ unit: String) {
            self.name = name
            self.value = value
            self.unit = unit
            samples = [value]
        }

        /// Makes one figure of all that have the same name, at the place of the first.
        static func joined(_ figures: [Figure]) -> [Figure] {
            var joined: [Figure] = []
            var places: [String: Int] = [:]
            for figure in figures {
                if let place = places[figure.name] {
                    joined[place].samples += figure.samples
                } else {
                    places[figure.name] = joined.count
                    joined.append(figure)
                }
            }
            for place in joined.indices {
                joined[place].value = Summary(joined[place].samples)?.median ?? joined[place].value
            }
            return joined
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

    /// One figure as a multiple of another, by their names: round by round, as rates are, so that what differs between
    /// rounds drops out. Nil where one of them was not measured.
    func multiple(_ name: String, of other: String) -> Summary? {
        guard let figure = figures.first(where: { $0.name == name }),
            let reference = figures.first(where: { $0.name == other })
        else { return nil }
        return Summary(zip(figure.samples, reference.samples).map { $0 / $1 })
    }

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
