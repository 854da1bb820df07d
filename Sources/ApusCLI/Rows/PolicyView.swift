internal import AgentAPI

/// What `apus policy get` tells.
struct PolicyView: Codable, Equatable {
    /// A policy object and what became of it.
    struct Object: Codable, Equatable {
        enum CodingKeys: String, CodingKey {
            case policy, tier, priority, subject, isolates, rules, problems, rejected, ignored, pending, endpoints
            case compiled
            case auditedBy = "audited_by"
            case inForce = "in_force"
        }

        var policy: String
        var tier: String
        var priority: Int?
        /// The pods that it selects; nil without the agent.
        var subject: String?
        /// The directions in which it isolates; nil when it isolates none as far as the maps tell.
        var isolates: [String]?
        /// What puts it into audit mode; nil when nothing does as far as the maps tell.
        var auditedBy: [String]?
        var rules: [PolicyDetails.Rule]
        /// Whether it is in force as written for every pod of this node that it selects; nil when it can't be told.
        /// Without the agent: whether the maps have it, in the version that was written to them last.
        var inForce: Bool?
        /// What is wrong with it.
        var problems: [String]
        /// What is wrong with its newest version: an older one, which is shown, is in force. Nil without the agent.
        var rejected: [String]?
        /// Other versions of it that are ignored, and which one counts; nil where none is known.
        var ignored: [String]?
        /// Pods that the maps judge by something else yet.
        var pending: [String]
        /// The pods of this node that it selects.
        var endpoints: [String]
        /// The compiled policies that have rules of it.
        var compiled: [String]
    }

    var objects: [Object]
    /// The compiled policy of the id.
    var compiled: PolicyRow?

    var isEmpty: Bool { objects.isEmpty && compiled == nil }
}

extension PolicyView {
    /// What the maps alone tell of objects: their rules as far as they are compiled, and whom they judge.
    init(_ selection: PolicySelection, maps rows: [PolicyRow]) {
        var objects: [String: Object] = [:]
        for row in rows {
            if let text = row.isolatedBy, let isolating = PolicyObjectName(text), isolating.matches(selection) {
                objects[text, default: Object(policy: text, tier: Self.isolatingTier)].addIsolation(of: row)
            }
            for rule in row.rules {
                guard let name = PolicyObjectName(rule), name.matches(selection) else { continue }
                objects[name.text, default: Object(policy: name.text, tier: rule.tier)].add(rule, of: row)
            }
        }
        self.init(
            objects: objects.values.sorted { $0.policy < $1.policy },
            compiled: rows.first { selection.id != nil && $0.policy == selection.name })
    }

    /// The tier whose policies isolate.
    private static let isolatingTier = PolicyJudgement.Tier.Name.networkPolicy.rawValue

    /// What the agent tells, compared with the maps where they can be read.
    init(_ details: PolicyDetails, _ selection: PolicySelection, maps rows: [PolicyRow]?, endpoints: [EndpointRow]?) {
        var compiled = rows?.first { selection.id != nil && $0.policy == selection.name }
        if let bits = details.compiled { compiled?.describe(bits) }
        self.init(
            objects: details.objects.map { object in
                let users = rows.map { rows in rows.filter { $0.names(object.policy) }.map(\.policy) } ?? []
                return Object(object, compiled: users, pending: endpoints.map { Self.pending(object, $0, rows ?? []) })
            }, compiled: compiled)
    }

    /// The pods that the maps don't judge as the agent wants it.
    private static func pending(
        _ object: PolicyDetails.Object, _ endpoints: [EndpointRow], _ rows: [PolicyRow]
    ) -> [String] {
        let known = Dictionary(rows.map { ($0.policy, $0) }) { first, _ in first }
        return object.endpoints.flatMap { wanted -> [String] in
            let row = endpoints.first { row in
                row.namespace.flatMap { namespace in row.pod.map { "\(namespace)/\($0)" } } == wanted.pod
            }
            guard let row else { return ["\(wanted.pod): is no endpoint yet"] }
            let sides = [("ingress", wanted.ingress, row.ingressPolicy), ("egress", wanted.egress, row.egressPolicy)]
            return sides.filter { object.directions.contains($0.0) }.compactMap { direction, wanted, found in
                if wanted != found {
                    return "\(row.text): \(direction) is judged by \(found ?? "nothing"), not \(wanted ?? "nothing")"
                }
                guard let wanted else { return nil }
                guard let policy = known[wanted] else {
                    return "\(row.text): \(direction) is closed, as \(wanted) is not in the maps"
                }
                return policy.closed == true ? policy.closing(row.text) : nil
            }
        }
    }
}

extension PolicyView.Object {
    fileprivate init(policy: String, tier: String) {
        self.init(
            policy: policy, tier: tier, rules: [], problems: [], pending: [], endpoints: [], compiled: [])
    }

    fileprivate init(_ object: PolicyDetails.Object, compiled: [String], pending: [String]?) {
        let isWell = object.problems.isEmpty && object.rejected.isEmpty
        self.init(
            policy: object.policy, tier: object.tier.rawValue, priority: object.priority, subject: object.subject,
            isolates: object.isolates, auditedBy: object.auditedBy, rules: object.rules,
            inForce: isWell ? pending?.isEmpty : false,
            problems: object.problems, rejected: object.rejected, ignored: object.ignored, pending: pending ?? [],
            endpoints: object.endpoints.map(\.pod),
            compiled: compiled)
    }

    fileprivate mutating func add(_ rule: PolicyRow.Rule, of row: PolicyRow) {
        let own = PolicyDetails.Rule(
            rule: rule.rule ?? "", ruleName: rule.ruleName, action: rule.actionText, peers: nil, ports: nil)
        if !rules.contains(own) { rules.append(own) }
        if rule.audit == true { auditedBy = [Self.unknownAuditor] }
        addUse(by: row)
    }

    /// Notes that the object isolates what the compiled policy judges, or would if it were not in audit mode.
    fileprivate mutating func addIsolation(of row: PolicyRow) {
        let direction = row.direction ?? ""
        if isolates?.contains(direction) != true { isolates = ((isolates ?? []) + [direction]).sorted(by: >) }
        if row.audits == true { auditedBy = [Self.unknownAuditor] }
        addUse(by: row)
    }

    /// The maps don't say whose annotation it is.
    private static let unknownAuditor = "itself or its pods' namespaces"

    private mutating func addUse(by row: PolicyRow) {
        if !compiled.contains(row.policy) { compiled.append(row.policy) }
        endpoints = Set(endpoints).union(row.endpoints).sorted()
        if row.closed == true { pending += row.endpoints.map(row.closing) }
        inForce = pending.isEmpty
    }
}

/// The name of a policy object as the rows have it.
private struct PolicyObjectName {
    let kind: String
    let namespace: String
    let name: String

    /// `NetworkPolicy shop/web`, `ClusterNetworkPolicy guard`.
    var text: String { "\(kind) " + [namespace, name].filter { !$0.isEmpty }.joined(separator: "/") }

    init?(_ text: String) {
        let words = text.split(separator: " ")
        let path = words.last?.split(separator: "/").map(String.init) ?? []
        guard words.count == 2, (1...2).contains(path.count) else { return nil }
        (kind, namespace, name) = (String(words[0]), path.count == 2 ? path[0] : "", path[path.count - 1])
    }

    init?(_ rule: PolicyRow.Rule) {
        guard let kind = rule.kind, let name = rule.name else { return nil }
        (self.kind, namespace, self.name) = (kind, rule.namespace ?? "", name)
    }

    func matches(_ selection: PolicySelection) -> Bool { selection.matches(namespace: namespace, name: name) }
}

extension PolicyRow {
    /// What becomes of a pod whose rules are too many.
    fileprivate func closing(_ pod: String) -> String {
        "\(pod): \(direction ?? "traffic") is closed: \(excess)"
    }

    /// Whether a rule comes from an object, or the object is the one that isolates.
    fileprivate func names(_ object: String) -> Bool {
        isolatedBy == object || rules.contains { PolicyObjectName($0)?.text == object }
    }

    /// Adds what the agent says that the rules admit, if it speaks of as many.
    fileprivate mutating func describe(_ bits: [PolicyDetails.Bit]) {
        guard bits.count == rules.count else { return }
        for index in rules.indices {
            rules[index].peers = bits[index].peers
            rules[index].ports = bits[index].ports
        }
    }
}

extension EndpointRow {
    fileprivate var text: String { "\(namespace ?? "")/\(pod ?? "")" }
}
