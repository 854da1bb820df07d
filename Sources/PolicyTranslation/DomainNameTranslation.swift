internal import Addressing
internal import DomainNames
internal import Kubernetes
internal import NetworkPolicy

/// Domain names of policies as patterns; one that can't be read is a problem of its field, and matches nothing.
enum DomainNameTranslation {
    /// The pattern of a field, or why it is none.
    static func pattern(
        _ field: String, _ read: () throws(DomainPatternError) -> DomainPattern, _ problems: inout [InvalidField]
    ) -> DomainPattern? {
        do throws(DomainPatternError) { return try read() } catch {
            problems.append(InvalidField(field: field, message: error.description))
            return nil
        }
    }
}

extension FQDNPolicyObject {
    init(_ policy: FQDNNetworkPolicy) {
        var problems: [InvalidField] = []
        let rules = policy.egress.enumerated().map { index, rule in
            FQDNPolicyRule(rule, "spec.egress[\(index)]", &problems)
        }
        self.init(
            namespace: policy.meta.namespace, name: policy.meta.name, podSelector: PolicySelector(policy.podSelector),
            egress: rules, isAudited: policy.meta.isPolicyAudited, created: policy.meta.creationTimestamp,
            invalidFields: problems)
    }
}

extension FQDNPolicyRule {
    fileprivate init(_ rule: FQDNNetworkPolicyRule, _ path: String, _ problems: inout [InvalidField]) {
        let matches = rule.matches.enumerated().compactMap { index, match -> (DomainPattern, String)? in
            let (field, read) = match.reading
            let path = "\(path).matches[\(index)].\(field)"
            return DomainNameTranslation.pattern(path, read, &problems).map { ($0, path) }
        }
        self.init(
            matches: matches.map(\.0), ports: rule.ports.flatMap(Self.ports),
            fields: Dictionary(matches) { first, _ in first })
    }

    /// One item that stands for everything makes the others mean nothing.
    private static func ports(_ ports: [FQDNNetworkPolicyPort]) -> [PortRule]? {
        if ports.contains(where: { $0.ipProtocol == nil && $0.port == nil }) { return nil }
        return ports.flatMap { item in
            (item.ipProtocol.map { [$0] } ?? [.tcp, .udp, .sctp]).map { ipProtocol in
                PortRule(ipProtocol, item.port.map { .number(Int($0)) } ?? .any)
            }
        }
    }
}

extension FQDNNetworkPolicyRule.Match {
    /// The field that a match has, and how it is read.
    fileprivate var reading: (field: String, read: () throws(DomainPatternError) -> DomainPattern) {
        switch self {
        case .name(let text): ("name", { () throws(DomainPatternError) in try DomainPattern(fqdnName: text) })
        case .pattern(let text): ("pattern", { () throws(DomainPatternError) in try DomainPattern(fqdnPattern: text) })
        }
    }
}

extension ClusterNetworkPolicy {
    /// What is wrong with the domain names of the policy's peers.
    var domainNameProblems: [InvalidField] {
        var problems: [InvalidField] = []
        for (index, rule) in egress.enumerated() { _ = rule.domainNameFields(at: index, &problems) }
        return problems
    }
}

extension ClusterNetworkPolicyRule {
    /// Where the domain names of an egress rule are written.
    func domainNameFields(at index: Int, _ problems: inout [InvalidField]) -> [DomainPattern: String] {
        var fields: [DomainPattern: String] = [:]
        for (number, peer) in peers.enumerated() {
            guard case .domainNames(let names) = peer else { continue }
            for (place, name) in names.enumerated() {
                let path = "spec.egress[\(index)].to[\(number)].domainNames[\(place)]"
                let read = { () throws(DomainPatternError) in try DomainPattern(clusterDomain: name) }
                guard let pattern = DomainNameTranslation.pattern(path, read, &problems) else { continue }
                fields[pattern] = fields[pattern] ?? path
            }
        }
        return fields
    }
}
