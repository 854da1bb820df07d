public import FlowExport
public import OTLPClient

/// Which flows are exported, and where to.
public struct FlowExports: Sendable {
    /// Which flows, and which of their fields.
    public var choice = FlowChoice()
    /// The file for flows as Hubble's lines of JSON; nil: none.
    public var file: File?
    /// The collector of OpenTelemetry; nil: none.
    public var collector: Collector?

    /// A file that is put aside when it has grown to its size.
    public struct File: Sendable, Hashable {
        public var path: String
        /// Bytes after which the file is put aside.
        public var size = 10 << 20
        /// How many of those are kept.
        public var kept = 5

        public init(path: String) { self.path = path }
    }

    /// What a collector gets.
    public struct Collector: Sendable, Hashable {
        public var endpoint: OTLPEndpoint
        /// Flows, as log records.
        public var getsLogs = true
        /// All metrics of the agent.
        public var getsMetrics = true
        /// The time between two readings of metrics.
        public var metricInterval: Duration = .seconds(60)

        public init(endpoint: OTLPEndpoint) { self.endpoint = endpoint }
    }

    public init() {}
}
