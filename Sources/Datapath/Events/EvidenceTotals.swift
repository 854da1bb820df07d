/// What the data path was to tell and what was told of it, since the maps were made.
public struct EvidenceTotals: Sendable, Hashable {
    /// One sort of it.
    public struct Account: Sendable, Hashable {
        /// What is to be told sooner or later: a connection's end, a denied packet.
        public var due: UInt64
        /// What the data path has reported, or has counted as lost for lack of room in the ring.
        public var told: UInt64
        /// What agents have found in the maps and told.
        public var taken: UInt64

        public init(due: UInt64, told: UInt64, taken: UInt64) {
            self.due = due
            self.told = told
            self.taken = taken
        }
    }

    public var connections: Account
    public var denials: Account

    public init(connections: Account, denials: Account) {
        self.connections = connections
        self.denials = denials
    }
}
