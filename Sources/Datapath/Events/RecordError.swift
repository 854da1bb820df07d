internal import DatapathABI

/// Why bytes of the kernel are no record.
public struct RecordError: Error, Sendable, Hashable {
    /// What did not fit.
    public enum Reason: Sendable, Hashable {
        /// Another number of bytes than a record has.
        case length(Int, expected: Int)
        /// A field holds a number that has no meaning.
        case unknown(field: Field, UInt8)
    }

    /// Fields that hold only certain numbers.
    public enum Field: String, Sendable, Hashable, CaseIterable {
        case kind, reason, direction, ending, opener
    }

    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }
}

extension RecordError: CustomStringConvertible {
    public var description: String {
        switch reason {
        case .length(let found, let expected): "a record of \(found) bytes instead of \(expected)"
        case .unknown(let field, let value): "a record with unknown \(field.rawValue) \(value)"
        }
    }
}
