/// Closes a part of a policy that can't be read, so that the rest can be in force and admits no more than is written.
///
/// What allows admits nothing in its place; what denies, or leaves the decision to others, denies all that it might
/// match. Where it can't be told what a policy selects, or when it is asked, nothing can be put in its place.
struct PolicyClosing {
    /// What was closed: the object without the error, and what that does, as an end of a sentence.
    struct Closed {
        var value: ManifestValue
        var consequence: String
    }

    private typealias Step = FieldError.Step

    /// Where a kind has its rules' parts.
    private struct Shape {
        var peers: [String: String]
        var ports: String
        /// Whether rules have actions; those of the others allow.
        var hasActions = false
    }

    private let kind: ObjectKind
    private let shape: Shape?

    /// The closing of objects of a kind.
    init(_ kind: ObjectKind) {
        self.kind = kind
        shape =
            switch kind {
            case .networkPolicy: Shape(peers: ["ingress": "from", "egress": "to"], ports: "ports")
            case .fqdnNetworkPolicy: Shape(peers: ["egress": "matches"], ports: "ports")
            case .clusterNetworkPolicy:
                Shape(peers: ["ingress": "from", "egress": "to"], ports: "protocols", hasActions: true)
            case .namespace, .node, .pod, .service, .endpointSlice, .networkLogging: nil
            }
    }

    /// The object with the part closed that an error is in; nil when the object is of no use without it.
    func close(_ error: FieldError, in object: ManifestValue) -> Closed? {
        let path = Array(error.steps.reversed())
        if path == [.field("metadata"), .field("annotations"), .key(ObjectMeta.auditAnnotation)] {
            return Closed(value: object.removing(path), consequence: "what it denies is denied, not audited")
        }
        guard let shape, path.count >= 2, path[0] == .field("spec"), case .field(let field) = path[1] else {
            return nil
        }
        if let peers = shape.peers[field] { return closeRules(path, field, peers, error, in: object) }
        if field == "policyTypes" {
            let both = ManifestValue.list([.string("Ingress"), .string("Egress")])
            return Closed(
                value: object.replacing(path.prefix(2)) { _ in both }, consequence: "the policy isolates both ways")
        }
        guard error.isUnknownField, path.count == 2 else { return nil }
        let rest = object.removing(path)
        return Closed(
            value: shape.peers.reduce(rest) { narrowAll([path[0], .field($1.key)], $1.value, in: $0) },
            consequence: "it may narrow what the policy admits, so " + narrowed)
    }

    /// The object with every rule closed, where too much is wrong to close it part by part.
    func closeAll(in object: ManifestValue) -> Closed? {
        guard let shape else { return nil }
        let value = shape.peers.reduce(object) { value, entry in
            value.replacing([.field("spec"), .field(entry.key)]) { _ in .list([closedRule(entry.value)]) }
        }
        return Closed(value: value, consequence: "too much is wrong to go on, so " + closedList)
    }

    // MARK: - What closing does, in words

    private var hasActions: Bool { shape?.hasActions ?? false }

    private var narrowed: String {
        hasActions ? "Accept rules match nothing, and Pass rules deny" : "its rules admit nothing"
    }

    private var closedList: String { hasActions ? "everything is denied" : "no rule of the list admits anything" }

    private func words(_ action: String?, otherwise denied: String) -> String {
        !hasActions || action == "Accept" ? "the rule admits nothing" : denied
    }

    // MARK: - Rules

    private func closeRules(
        _ path: [Step], _ list: String, _ peers: String, _ error: FieldError, in object: ManifestValue
    ) -> Closed {
        guard path.count > 2 else {
            let closed = ManifestValue.list([closedRule(peers)])
            return Closed(
                value: object.replacing(path.prefix(1)) { $0.setting([(list, closed)]) }, consequence: closedList)
        }
        let rule = Array(path.prefix(3))
        let action = object.at(rule + [.field("action")])?.text
        guard path.count > 3, case .field(let field) = path[3] else {
            return Closed(
                value: object.replacing(rule) { _ in closedRule(peers) },
                consequence: words(nil, otherwise: "the rule denies everything"))
        }
        let isEntry = path.count > 4
        if isEntry, field == peers, !hasActions {
            return Closed(
                value: object.replacing(path.prefix(5)) { _ in .unreadable }, consequence: "it matches nothing")
        }
        if isEntry, field == shape?.ports, !hasActions {
            return Closed(
                value: object.replacing(path.prefix(5)) { _ in .unreadable }, consequence: "it matches no port")
        }
        return closeRule(rule, field, path, action, peers, error, in: object)
    }

    /// Closes a rule because of one of its fields.
    private func closeRule(
        _ rule: [Step], _ field: String, _ path: [Step], _ action: String?, _ peers: String, _ error: FieldError,
        in object: ManifestValue
    ) -> Closed {
        if field == "name", hasActions {
            return Closed(value: object.removing(Array(path.prefix(4))), consequence: "the rule has no name")
        }
        if error.isUnknownField, path.count == 4 {
            return Closed(
                value: object.removing(path).replacing(rule) { narrow($0, peers) },
                consequence: words(action, otherwise: "the rule denies what the rest of it matches"))
        }
        let denied: String
        var fields: [(String, ManifestValue?)]
        switch field {
        case "action" where hasActions: (fields, denied) = ([], "the rule denies")
        case shape?.ports: (fields, denied) = ([(field, nil)], "the rule denies on every port")
        default: (fields, denied) = ([(peers, .list([.unreadable]))], "the rule denies every peer")
        }
        let isAllowing = !hasActions || action == "Accept"
        if isAllowing { fields = [(peers, .list([.unreadable])), (shape?.ports ?? "", nil)] }
        if hasActions, !isAllowing { fields.append(("action", .string("Deny"))) }
        return Closed(
            value: object.replacing(rule) { $0.setting(fields) }, consequence: words(action, otherwise: denied))
    }

    /// What stands for a rule of which nothing can be read.
    private func closedRule(_ peers: String) -> ManifestValue {
        ManifestValue.object(ManifestObject()).setting([
            (peers, .list([.unreadable])), ("action", hasActions ? .string("Deny") : nil),
        ])
    }

    private func narrowAll(_ list: [Step], _ peers: String, in object: ManifestValue) -> ManifestValue {
        object.replacing(list) { value in
            guard case .list(let rules) = value else { return value }
            return .list(rules.map { narrow($0, peers) })
        }
    }

    /// A rule that something unknown may narrow: what it denies it still does, what it would admit it may not.
    private func narrow(_ rule: ManifestValue, _ peers: String) -> ManifestValue {
        let action = rule.at([.field("action")])?.text
        if hasActions, action == "Pass" { return rule.setting([("action", .string("Deny"))]) }
        if hasActions, action != "Accept" { return rule }
        return rule.setting([(peers, .list([.unreadable]))])
    }
}

extension ManifestValue {
    /// The value with another part at the end of a way; as it is where the way leads nowhere.
    func replacing(
        _ path: some Collection<FieldError.Step>, _ change: (ManifestValue) -> ManifestValue
    ) -> ManifestValue {
        guard let step = path.first else { return change(self) }
        switch (self, step) {
        case (.object(let object), .field(let name)), (.object(let object), .key(let name)):
            let members = object.members.map { member in
                guard member.name == name else { return member }
                return .init(name: name, value: member.value.replacing(path.dropFirst(), change))
            }
            return .object(ManifestObject(members: members))
        case (.list(var entries), .index(let index)) where entries.indices.contains(index):
            entries[index] = entries[index].replacing(path.dropFirst(), change)
            return .list(entries)
        default: return self
        }
    }

    /// An object with other fields, nil ones taken out; what is no object counts as an empty one.
    fileprivate func setting(_ fields: [(name: String, value: ManifestValue?)]) -> ManifestValue {
        var members: [ManifestObject.Member] = []
        if case .object(let object) = self { members = object.members }
        for (name, value) in fields {
            members.removeAll { $0.name == name }
            if let value { members.append(.init(name: name, value: value)) }
        }
        return .object(ManifestObject(members: members))
    }
}
