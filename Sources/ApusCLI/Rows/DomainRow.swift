/// An address that is held under a name.
package struct HeldAddress: Codable, Equatable, Sendable {
    enum CodingKeys: String, CodingKey {
        case address, expires
        case remaining = "remaining_ns"
    }

    package var address: String
    /// When it ends for new connections.
    package var expires: String
    /// Nanoseconds until then; 0: it has ended, and stays while a connection leads there.
    package var remaining: UInt64

    package init(address: String, expires: String, remaining: UInt64) {
        self.address = address
        self.expires = expires
        self.remaining = remaining
    }

    /// `8s`, `ended`.
    static func text(_ remaining: UInt64) -> String { remaining == 0 ? "ended" : Quantity.duration(remaining) }
}

/// A pattern of names in a policy, and of one name that it matches what was learned.
package struct DomainRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case pattern, field
        case isInForce = "in_force"
        case name, addresses, policy, rules, endpoints
    }

    package var pattern: String
    /// The field that it is written in: `name`, `pattern` or `domainNames`.
    package var field: String
    /// Whether the data path matches names with it: one that was refused, or that waits, it does not know.
    package var isInForce: Bool
    /// The name that was resolved; nil: none that the pattern matches is held.
    package var name: String?
    package var addresses: [HeldAddress]
    /// The compiled policy, whose pods share what they learn.
    package var policy: String
    /// The rules with the pattern, `FQDNNetworkPolicy shop/web egress[0]`.
    package var rules: [String]
    /// The pods that it judges, `namespace/name`.
    package var endpoints: [String]

    package init(
        pattern: String, field: String, isInForce: Bool = true, name: String? = nil, addresses: [HeldAddress] = [],
        policy: String, rules: [String], endpoints: [String]
    ) {
        self.pattern = pattern
        self.field = field
        self.isInForce = isInForce
        self.name = name
        self.addresses = addresses
        self.policy = policy
        self.rules = rules
        self.endpoints = endpoints
    }

    package static let absence = "no patterns: no policy of this node's pods has domain names"

    package static let columns: [Column<DomainRow>] = [
        Column("PATTERN") { $0.pattern },
        Column("IN FORCE") { $0.isInForce ? "yes" : "no" },
        Column("NAME") { $0.name ?? "" },
        Column("ADDRESSES") { Quantity.few($0.addresses.map(\.address), 2) },
        Column("EXPIRES", number: true) { row in
            row.addresses.map(\.remaining).max().map { HeldAddress.text($0) } ?? ""
        },
        Column("POLICY") { $0.policy },
        Column("RULES") { $0.rules.joined(separator: ", ") },
    ]
}

/// What is known of one name: `apus fqdn explain`.
package struct DomainExplanation: Codable, Equatable, Sendable {
    /// What was learned for the pods of a policy.
    package struct Learned: Codable, Equatable, Sendable {
        enum CodingKeys: String, CodingKey {
            case policy, endpoints, addresses
            case isAdmitted = "admitted"
        }

        package var policy: String
        /// Whether a pattern in force of the policy matches the name. What any policy of the node has a pattern for is
        /// held for the pods that asked, and admits nothing where it is not theirs.
        package var isAdmitted: Bool
        package var endpoints: [String]
        package var addresses: [HeldAddress]

        package init(policy: String, isAdmitted: Bool, endpoints: [String], addresses: [HeldAddress]) {
            self.policy = policy
            self.isAdmitted = isAdmitted
            self.endpoints = endpoints
            self.addresses = addresses
        }
    }

    package var name: String
    /// The patterns that match it, of each policy: those in force first.
    package var matches: [DomainRow]
    package var learned: [Learned]

    package init(name: String, matches: [DomainRow], learned: [Learned]) {
        self.name = name
        self.matches = matches
        self.learned = learned
    }

    /// For people.
    var text: String {
        guard !matches.isEmpty else { return "\(name): no pattern of this node's policies matches it\n" }
        var text = "\(name)\n" + Self.indented(Table.text(matches, Self.matchColumns))
        if learned.isEmpty { return text + "  no address is held under it\n" }
        let held = learned.flatMap { entry in entry.addresses.map { Held(entry, $0) } }
        text += "\n" + Self.indented(Table.text(held, Self.heldColumns))
        return text
    }

    private struct Held {
        let policy: String
        let isAdmitted: Bool
        let address: HeldAddress

        init(_ learned: Learned, _ address: HeldAddress) {
            (policy, isAdmitted) = (learned.policy, learned.isAdmitted)
            self.address = address
        }
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n").map { "  \($0)\n" }.joined()
    }

    private static let matchColumns: [Column<DomainRow>] = [
        Column("PATTERN") { $0.pattern },
        Column("IN FORCE") { $0.isInForce ? "yes" : "no" },
        Column("POLICY") { $0.policy },
        Column("RULES") { $0.rules.joined(separator: ", ") },
        Column("PODS") { $0.endpoints.joined(separator: ", ") },
    ]

    private static let heldColumns: [Column<Held>] = [
        Column("ADDRESS") { $0.address.address },
        Column("ADMITTED") { $0.isAdmitted ? "yes" : "no" },
        Column("EXPIRES", number: true) { $0.isAdmitted ? HeldAddress.text($0.address.remaining) : "" },
        Column("POLICY") { $0.policy },
    ]
}
