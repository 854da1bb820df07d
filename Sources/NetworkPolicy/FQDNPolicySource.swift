internal import Addressing
internal import DomainNames

extension PolicySource {
    init(_ object: FQDNPolicyObject) {
        let name = PolicyName(kind: .fqdnNetworkPolicy, namespace: object.namespace, name: object.name)
        key = SourceKey(tier: .networkPolicy, priority: 0, name: name)
        subject = PodSet(scope: .named(object.namespace), selector: CanonicalSelector(object.podSelector))
        directions = [.egress]
        isolates = [.egress]
        isAudited = object.isAudited
        problems = object.invalidFields.map { PolicyProblem(name, $0) }
        rules =
            object.egress.enumerated().map { index, rule in
                SourceRule(
                    origin: RuleOrigin(
                        policy: name, direction: .egress, index: index, created: object.created,
                        patternFields: rule.fields),
                    action: .allow,
                    peers: [.domains(rule.matches)], ports: rule.ports, home: .everywhere)
            } + [.dns(of: name, index: object.egress.count)]
    }
}

extension SourceRule {
    /// The ports that DNS is asked on; every protocol that has ports.
    private static let dnsPorts = [IPProtocol.tcp, .udp, .sctp].map { PortRule($0, .number(53)) }

    /// What every policy of the kind allows besides what it says: to ask for names. It comes after the written rules.
    fileprivate static func dns(of policy: PolicyName, index: Int) -> SourceRule {
        // NodeLocal DNSCache, and the metadata server of Google's cloud.
        let addresses = [IPAddress(v4: 0xa9fe_140a), IPAddress(v4: 0xa9fe_a9fe)]
        var rule = SourceRule(
            origin: RuleOrigin(policy: policy, direction: .egress, index: index, ruleName: "dns"), action: .allow,
            peers: [.addresses(addresses)], ports: dnsPorts, home: .everywhere)
        rule.peers? += [.pods(HostResolvers.onPodNetwork), .hostResolvers]
        return rule
    }
}
