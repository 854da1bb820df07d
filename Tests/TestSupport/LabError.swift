/// What went wrong while a lab was built, used or removed.
public struct LabError: Error, Sendable, CustomStringConvertible {
    /// What was tried, such as `spawn nsenter`.
    public let operation: String
    /// Why it failed: the system's words, or the output of the command.
    public let reason: String

    public init(_ operation: String, _ reason: String) {
        self.operation = operation
        self.reason = reason
    }

    public var description: String { "\(operation): \(reason)" }
}
