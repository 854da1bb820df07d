/// A metric with all its samples, as a scrape shows it.
public struct MetricFamily: Sendable, Equatable {
    /// What its numbers are.
    public enum Kind: String, Sendable, CaseIterable {
        /// Only grows, until the process ends or longer.
        case counter
        case gauge
        case histogram
    }

    public let name: String
    /// One sentence for people.
    public let help: String
    public let kind: Kind
    /// Whether it counts from before this process: what the data path counts goes on without it.
    public let outlivesProcess: Bool
    public private(set) var samples: [MetricSample]

    public init(
        _ name: String, _ kind: Kind, _ help: String, _ samples: [MetricSample] = [], outlivesProcess: Bool = false
    ) {
        self.outlivesProcess = outlivesProcess
        self.name = name
        self.kind = kind
        self.help = help
        self.samples = samples
    }

    /// Adds a sample; no two of a family may have the same labels.
    public mutating func add(_ value: MetricValue, _ labels: [MetricLabel] = []) {
        samples.append(MetricSample(value, labels))
    }

    /// Several lists of families as one, in which each name is there once with all its samples: they have to differ in
    /// their labels.
    public static func merged(_ lists: [[MetricFamily]]) -> [MetricFamily] {
        var found: [MetricFamily] = []
        for family in lists.joined() {
            if let index = found.firstIndex(where: { $0.name == family.name }) {
                found[index].samples += family.samples
            } else {
                found.append(family)
            }
        }
        return found
    }
}

/// One number of a metric, or one histogram.
public struct MetricSample: Sendable, Equatable {
    public let labels: [MetricLabel]
    public let value: MetricValue

    public init(_ value: MetricValue, _ labels: [MetricLabel] = []) {
        self.value = value
        self.labels = labels
    }
}

/// The name of a dimension with its value.
public struct MetricLabel: Sendable, Hashable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What a sample says.
public enum MetricValue: Sendable, Equatable {
    /// A count, exact however large.
    case count(UInt64)
    case number(Double)
    case histogram(Histogram)

    /// 1 for what holds, 0 for what doesn't.
    public static func flag(_ holds: Bool) -> MetricValue { .count(holds ? 1 : 0) }

    /// How many there are of something.
    public static func count(_ number: Int) -> MetricValue { .count(UInt64(max(0, number))) }
}
