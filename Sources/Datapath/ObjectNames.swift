internal import DatapathABI
internal import LoadBalancing
internal import NetworkPolicy

extension DatapathTables {
    /// What a key of a map belongs to, for people: the object's name where there is one.
    func object(_ table: DatapathTable, _ key: Bytes) -> String {
        switch table {
        case .services:
            let id = services.services[key]?.load(apus_service.self)?.service
            let name = id.flatMap { names[NameKey.service($0).key] }.map(NameKey.text) ?? "-"
            return "service \(name) (\(table.text(ofKey: key)))"
        case .endpoints:
            let slot = Int(key.load(UInt32.self) ?? 0)
            return endpoints.records[slot]?.name.map { "endpoint \($0.pod)" } ?? "endpoint slot \(slot)"
        case .policyPages: return "policy \(policyName(PolicyTables.policy(ofPage: key)))"
        case .policySinglePorts, .policyPorts: return "policy \(policyName(PolicyTables.policy(ofPorts: key)))"
        case .policyPeers: return "policy \(policyName(PolicyTables.owners(ofPeers: key).policy))"
        case .peerClasses, .peerPrefixes: return "peer \(table.text(ofKey: key))"
        case .endpointAddresses: return "endpoint address \(table.text(ofKey: key))"
        case .dnsResolvers: return "resolver \(table.text(ofKey: key))"
        case .sourceRanges: return "source range \(table.text(ofKey: key))"
        case .nonMasquerade: return "non-masquerade range \(table.text(ofKey: key))"
        case .nodeRanges: return "node range \(table.text(ofKey: key))"
        case .uplinks: return "uplink \(table.text(ofKey: key))"
        case .info, .policyEpoch, .interfaces, .slots, .backends, .names:
            return "\(table.rawValue) \(table.text(ofKey: key))"
        }
    }

    /// A policy by the object of its first rule.
    func policyName(_ id: UInt32) -> String {
        let candidates = [NameKey.rule(policy: id, 0), .rule(policy: id, APUS_RULE_ISOLATION)]
        let name = candidates.lazy.compactMap { names[$0.key] }.first.map(NameKey.text)
        return [name, "\(PolicyID(rawValue: id))"].compactMap { $0 }.joined(separator: " ")
    }
}
