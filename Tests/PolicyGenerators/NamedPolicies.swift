internal import Addressing
public import DomainNames
internal import NetworkPolicy

/// Policies with domain names, and the names that addresses were learned under.
extension ClusterGenerator {
    /// The patterns that policies are made of.
    public static var domainPatterns: [DomainPattern] { Pools.domainPatterns }

    mutating func setFQDNPolicy(_ number: Int) -> PolicyInput {
        let name = "f\(number)"
        let namespace = Pools.namespaces[number % Pools.namespaces.count]
        var object = FQDNPolicyObject(namespace: namespace, name: name, podSelector: subjectSelector())
        object.egress = (0...roll(2)).map { _ in
            FQDNPolicyRule(matches: patterns(), ports: chance(40) ? nil : (0...roll(2)).map { _ in unnamedPort() })
        }
        object.isAudited = chance(15)
        fqdnPolicies[name] = object
        return .fqdnPolicy(object)
    }

    mutating func removeFQDNPolicy(_ number: Int) -> PolicyInput {
        let name = "f\(number)"
        fqdnPolicies[name] = nil
        return .fqdnPolicyRemoved(namespace: Pools.namespaces[number % Pools.namespaces.count], name: name)
    }

    /// The rule, some of the time with names among its peers where it may have them.
    mutating func named(_ rule: ClusterPolicyRule) -> ClusterPolicyRule {
        guard shape.includesNames, rule.action == .allow, chance(50) else { return rule }
        var rule = rule
        rule.peers.append(.domains(patterns()))
        rule.ports = rule.ports.map { $0.map { item in if case .name = item.ports { PortRule(.tcp) } else { item } } }
        return rule
    }

    /// The names that an address has for a pod; none half of the time.
    mutating func peerNames() -> Set<String> {
        !shape.includesNames || chance(50) ? [] : Set((0...roll(2)).map { _ in Pools.domainNames.pick(&random) })
    }

    private mutating func patterns() -> [DomainPattern] {
        // None is left where none can be read.
        chance(5) ? [] : (0...roll(2)).map { _ in Pools.domainPatterns.pick(&random) }
    }

    private mutating func unnamedPort() -> PortRule {
        let port = portRule()
        if case .name = port.ports { return PortRule(port.ipProtocol, .number(53)) }
        return port
    }
}
