internal import Addressing
public import DomainNames
internal import NetworkPolicy

/// Policies with domain names, and the names that addresses were learned under.
extension ClusterGenerator {
    /// The patterns that policies are made of.
    public static var domainPatterns: [DomainPattern] { Pools.domainPatterns }

    /// The names that addresses may have.
    public static var domainNames: [String] { Pools.domainNames }

    mutating func setFQDNPolicy(_ number: Int) -> PolicyInput {
        let name = "f\(number)"
        let namespace = Pools.namespaces[number % Pools.namespaces.count]
        var object = FQDNPolicyObject(namespace: namespace, name: name, podSelector: subjectSelector())
        object.egress = (0...roll(2)).map { _ in
            let matches = patterns()
            return FQDNPolicyRule(
                matches: matches, ports: chance(40) ? nil : (0...roll(2)).map { _ in unnamedPort() },
                fields: fields(of: matches))
        }
        object.created = creationTimestamp()
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
        let matches = patterns()
        rule.peers.append(.domains(matches))
        rule.fields = fields(of: matches)
        rule.ports = rule.ports.map { $0.map { item in if case .name = item.ports { PortRule(.tcp) } else { item } } }
        return rule
    }

    /// The names that an address has for a pod; none half of the time.
    mutating func peerNames() -> Set<String> {
        !shape.includesNames || chance(50) ? [] : Set((0...roll(2)).map { _ in Pools.domainNames.pick(&random) })
    }

    /// Objects are made at one of two times, or no one knows when.
    mutating func creationTimestamp() -> String? {
        chance(20) ? nil : ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"].pick(&random)
    }

    /// Where each pattern is written, in any order.
    private mutating func fields(of patterns: [DomainPattern]) -> [DomainPattern: String] {
        let places = patterns.indices.shuffled(using: &random)
        return Dictionary(zip(patterns, places.map { "spec.egress[0].matches[\($0)]" })) { first, _ in first }
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
