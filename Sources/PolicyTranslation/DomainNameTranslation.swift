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
        let matches = rule.matches.enumerated().compactMap { index, match -> DomainPattern? in
            let item = "\(path).matches[\(index)]"
            switch match {
            case .name(let text):
                return DomainNameTranslation.pattern(
                    "\(item).name", { () throws(DomainPatternError) in try DomainPattern(fqdnName: text) }, &problems)
            case .pattern(let text):
                return DomainNameTranslation.pattern(
                    "\(item).pattern", { () throws(DomainPatternError) in try DomainPattern(fqdnPattern: text) },
                    &problems)
            }
        }
        self.init(matches: matches, ports: rule.ports.flatMap(Self.ports))
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

extension ClusterNetworkPolicy {
    /// What is wrong with the domain names of the policy's peers.
    var domainNameProblems: [InvalidField] {
        var problems: [InvalidField] = []
        for (index, rule) in egress.enumerated() {
            for (number, peer) in rule.peers.enumerated() {
                guard case .domainNames(let names) = peer else { continue }
                let path = "spec.egress[\(index)].to[\(number)].domainNames"
                for (place, name) in names.enumerated() {
                    _ = DomainNameTranslation.pattern(
                        "\(path)[\(place)]",
                        { () throws(DomainPatternError) in try DomainPattern(clusterDomain: name) },
                        &problems)
                }
            }
        }
        return problems
    }
}
