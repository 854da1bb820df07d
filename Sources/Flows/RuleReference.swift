/// The name of the rule that decided a verdict, in the text form that the data path's maps keep:
/// `kind/namespace/name/direction/rule`, the rule an index or `isolation`; behind an index the name of the rule if it
/// has one, `ClusterNetworkPolicy//guard/ingress/0/allow-monitoring`.
///
/// Text of any other form is kept as it is; only its parts are unknown then.
public struct RuleReference: Sendable, Hashable, CustomStringConvertible {
    /// The text between the slashes.
    public struct Parts: Sendable, Hashable {
        /// The kind of the policy object.
        public var kind: String
        /// Empty for a cluster-scoped policy.
        public var namespace: String
        public var name: String
        public var direction: Flow.Direction
        /// The rule's position in the policy, nil when the policy decided by isolating the pod.
        public var index: Int?
        /// What the author calls the rule, nil when it has no name.
        public var ruleName: String?

        public init(
            kind: String, namespace: String, name: String, direction: Flow.Direction, index: Int?,
            ruleName: String? = nil
        ) {
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.direction = direction
            self.index = index
            self.ruleName = ruleName
        }

        /// The rule's place in the policy for people: `ingress[0]`, `ingress[0] "allow-monitoring"`, `isolates ingress`.
        public var place: String {
            guard let index else { return "isolates \(direction.rawValue)" }
            // Any character may be in a name: quoted as a literal, it can't do anything to a terminal.
            return "\(direction.rawValue)[\(index)]" + (ruleName.map { " \($0.debugDescription)" } ?? "")
        }
    }

    /// The reference as text.
    public let text: String

    public init(_ text: String) { self.text = text }

    public init(_ parts: Parts) {
        let rule = parts.index.map(String.init) ?? "isolation"
        text =
            "\(parts.kind)/\(parts.namespace)/\(parts.name)/\(parts.direction.rawValue)/\(rule)"
            + (parts.ruleName.map { "/\($0)" } ?? "")
    }

    /// The parts, nil when the text has another form.
    public var parts: Parts? {
        // By bytes: with a combining mark behind it a slash is another Character.
        let fields = text.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 5, omittingEmptySubsequences: false)
            .map { Substring($0) }
        guard fields.count >= 5, !fields[0].isEmpty, !fields[2].isEmpty,
            let direction = Flow.Direction(rawValue: String(fields[3]))
        else { return nil }
        let index = Int(fields[4])
        guard index != nil || fields[4] == "isolation" else { return nil }
        return Parts(
            kind: String(fields[0]), namespace: String(fields[1]), name: String(fields[2]), direction: direction,
            index: index, ruleName: fields.count == 6 ? String(fields[5]) : nil)
    }

    /// For people: `NetworkPolicy shop/allow-web ingress[0]`, `ClusterNetworkPolicy guard ingress[0] "allow-monitoring"`
    /// or `NetworkPolicy shop/default-deny isolates ingress`.
    public var description: String {
        guard let parts else { return text }
        let name = parts.namespace.isEmpty ? parts.name : "\(parts.namespace)/\(parts.name)"
        return "\(parts.kind) \(name) \(parts.place)"
    }
}
