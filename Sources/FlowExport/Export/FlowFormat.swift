public import Flows

/// A format that flows are exported in: which of them make records, and how these are written.
///
/// A value without a clock and without output, so that each format is tested alone: ``FlowExporter`` gives it the time and
/// takes its records away.
public protocol FlowFormat: Sendable {
    /// Prepares for some flows. While it is not known yet which are wanted, it returns false, and flows wait.
    mutating func begin() -> Bool

    /// Whether it wants no flows at all now: then they are not even read.
    var isIdle: Bool { get }

    /// Takes in a flow.
    ///
    /// - Parameter now: nanoseconds of a clock that does not jump.
    mutating func take(_ flow: Flow, now: UInt64, into output: inout ExportOutput)

    /// Gives out what waited, as its time has come.
    mutating func ripen(now: UInt64, into output: inout ExportOutput)

    /// Gives out all that still waits, at the end.
    mutating func finish(into output: inout ExportOutput)

    /// When something that waits is due; nil where nothing waits.
    var due: UInt64? { get }
}

extension FlowFormat {
    public mutating func begin() -> Bool { true }
    public var isIdle: Bool { false }
    public mutating func ripen(now: UInt64, into output: inout ExportOutput) {}
    public mutating func finish(into output: inout ExportOutput) {}
    public var due: UInt64? { nil }
}

/// One record as it is written.
public struct ExportRecord: Sendable, Hashable {
    public var bytes: [UInt8]
    /// For how many events it stands, in the counts of what is written or lost.
    public var events: UInt64

    public init(_ bytes: some Sequence<UInt8>, events: UInt64 = 1) {
        self.bytes = Array(bytes)
        self.events = events
    }
}

/// What a format makes of flows.
public struct ExportOutput: Sendable, Equatable {
    public var records: [ExportRecord] = []
    /// Events that should have been told and are not, by why.
    public var dropped: [ExportLoss: UInt64] = [:]

    public init() {}
}

/// Why an event that was to be exported was not.
public enum ExportLoss: String, Sendable, CaseIterable {
    /// The store of flows was overwritten before the exporter came, as its output was too slow.
    case overwritten
    /// There were more records a second than are written.
    case rate
    /// Too many different denials waited to be told together.
    case denyKeys = "deny_keys"
    /// The receiver said that it will never take them.
    case refused
    /// They have something that the format can't write.
    case unwritable
    /// A newer reading of the same metrics took their place before they could be delivered.
    case superseded
}
