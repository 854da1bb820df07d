/// Where records go: a file, a collector.
public protocol FlowSink: Sendable {
    /// Delivers records in their order, as far as it gets. Records that it does not count as delivered left no trace.
    ///
    /// It may take its time: nobody but this exporter waits for it. Once the task is cancelled, it ends soon.
    func deliver(_ records: [ExportRecord]) async -> Delivery
}

/// What became of records.
public struct Delivery: Sendable, Equatable {
    /// How many of them, from the first on, are delivered.
    public var delivered: Int
    /// Why the others are not; nil: they all are.
    public var problem: DeliveryProblem?

    public init(delivered: Int, problem: DeliveryProblem? = nil) {
        self.delivered = delivered
        self.problem = problem
    }
}

/// Why records were not delivered.
public struct DeliveryProblem: Sendable, Equatable {
    /// What failed, in one word: a label of metrics.
    public var operation: String
    /// For people.
    public var text: String
    /// Whether trying again is of no use, so that the records are given up.
    public var isFinal: Bool
    /// How long the receiver asked to be left alone.
    public var retryAfter: Duration?

    public init(operation: String, text: String, isFinal: Bool = false, retryAfter: Duration? = nil) {
        self.operation = operation
        self.text = text
        self.isFinal = isFinal
        self.retryAfter = retryAfter
    }
}
