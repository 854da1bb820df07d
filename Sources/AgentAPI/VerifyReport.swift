/// What is in the data path, compared with what should be there.
public struct VerifyReport: Sendable, Equatable, Codable {
    /// How much was compared in one table.
    public struct Table: Sendable, Hashable, Codable {
        public var name: String
        /// How many items were compared.
        public var checked: Int

        public init(name: String, checked: Int) {
            self.name = name
            self.checked = checked
        }
    }

    public var tables: [Table]
    public var drift: [DriftItem]

    public init(tables: [Table] = [], drift: [DriftItem] = []) {
        self.tables = tables
        self.drift = drift
    }

    /// Whether everything is as it should be.
    public var isClean: Bool { drift.isEmpty }

    /// How many items were compared.
    public var checked: Int { tables.reduce(0) { $0 + $1.checked } }
}

/// One item of the data path that is not as it should be.
public struct DriftItem: Sendable, Hashable, Codable {
    /// How it differs.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case missing, unexpected, different
        /// The agent could not write it; `reason` says why.
        case notWritten = "not_written"
    }

    public var table: String
    public var key: String
    public var kind: Kind
    /// What should be there, as text; nil when nothing should.
    public var desired: String?
    /// What is there, as text; nil when nothing is.
    public var actual: String?
    /// Why it could not be written.
    public var reason: String?

    public init(
        table: String, key: String, kind: Kind, desired: String? = nil, actual: String? = nil, reason: String? = nil
    ) {
        self.table = table
        self.key = key
        self.kind = kind
        self.desired = desired
        self.actual = actual
        self.reason = reason
    }
}
