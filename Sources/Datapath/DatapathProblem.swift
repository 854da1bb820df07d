/// Something that is wanted and is not in the kernel, and why.
public struct DatapathProblem: Error, Sendable, Hashable, CustomStringConvertible {
    /// Why something is not in the kernel.
    public enum Reason: Sendable, Hashable {
        /// No free range of slots is long enough: raise the size of `slots`.
        case slotsExhausted
        /// More different backends than `backends` holds.
        case backendsExhausted
        /// More Services with limits than `names` has ids for.
        case namesExhausted
        /// More pods on this node than `endpoints` holds.
        case endpointsExhausted
        /// The kernel refused a write; it is tried again with each pass.
        case refused(DatapathTable, MapError)
        /// It waits for something else that was refused.
        case waiting(DatapathTable)
        /// The policy of an endpoint could not be written in full, so that the programs drop what it would judge.
        case closed(TrafficDirection, policy: String)
        /// A pattern of names would need more states than the automaton of all patterns may have.
        case patternRefused(String, field: String?, states: Int)
        /// The automaton of all patterns could not be put in force.
        case names(MapError)
        /// Policies that can't be read have patterns of their own in force: new ones have to wait.
        case namesWait
    }

    /// A reason as an error.
    struct Full: Error {
        let reason: Reason
    }

    /// What suffers: `service shop/cart/http (TCP 10.96.0.10:80)`.
    public let object: String
    public let reason: Reason
    /// How many writes it stands for.
    public let count: Int

    public init(object: String, reason: Reason, count: Int = 1) {
        self.object = object
        self.reason = reason
        self.count = count
    }

    public var description: String { "\(object): \(reason)" }

    /// The map in which something is missing.
    public var map: String {
        switch reason {
        case .slotsExhausted: DatapathTable.slots.rawValue
        case .backendsExhausted: DatapathTable.backends.rawValue
        case .namesExhausted: DatapathTable.names.rawValue
        case .endpointsExhausted: DatapathTable.endpoints.rawValue
        case .refused(let table, _), .waiting(let table): table.rawValue
        case .closed: DatapathTable.policyPages.rawValue
        case .patternRefused, .names, .namesWait: "domain_automaton"
        }
    }
}

extension DatapathProblem.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .slotsExhausted: "no room in map slots for its backends" + DatapathTable.slots.sizeHint
        case .backendsExhausted: "map backends is full" + DatapathTable.backends.sizeHint
        case .namesExhausted: "map names has no id for its source ranges" + DatapathTable.names.sizeHint
        case .endpointsExhausted: "map endpoints is full" + DatapathTable.endpoints.sizeHint
        case .refused(let table, let error) where error.saysFull: "map \(table.rawValue) is full" + table.sizeHint
        case .refused(let table, let error): "map \(table.rawValue): \(error)"
        case .waiting(let table): "map \(table.rawValue) waits for what it leads to"
        case .closed(let direction, let policy):
            "closed: its \(direction.text) is dropped, as policy \(policy) could not be written in full"
        case .patternRefused(let pattern, let field, let states):
            (field.map { "\($0): " } ?? "")
                + "pattern \(pattern) is not in force: the patterns of all policies need more than \(states) states with it"
        case .namesWait: "names wait until all policies can be read: those in force before the agent's start count"
        case .names(let error): "names are not learned by the newest patterns: \(error)"
        }
    }
}

extension DatapathTable {
    /// What to raise where the map is full.
    fileprivate var sizeHint: String { sizeFlag.map { " (\($0))" } ?? "" }
}
