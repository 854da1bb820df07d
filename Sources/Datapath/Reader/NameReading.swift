public import Addressing
internal import DatapathABI
internal import LoadBalancing
public import NetworkPolicy

/// Names of what events and connections refer to by number; nil when the maps don't have them.
extension DatapathReader {
    /// The rule that decided, `kind/namespace/name/direction/index` and `/rule name` if it has one.
    public func ruleText(policy: PolicyID, rule: DecidingRule) -> String? {
        rule == .noRule ? nil : text(of: .rule(policy: policy.rawValue, rule.abi))
    }

    /// The rule that decided.
    public func ruleText(_ decision: PolicyDecision) -> String? {
        ruleText(policy: decision.policy, rule: decision.rule)
    }

    /// The pod in a slot, if the slot still belongs to the identity.
    public func endpointName(slot: UInt32, identity: UInt32) -> EndpointName? {
        let current = try? endpointMap.value(of: Bytes(of: slot), as: apus_endpoint.self)
        return current?.identity == identity ? endpointName(slot: slot) : nil
    }

    /// The pod that a reference means, if it is still there.
    public func endpointName(_ endpoint: EndpointReference) -> EndpointName? {
        endpointName(slot: endpoint.slot, identity: endpoint.identity)
    }

    /// The Service port of a frontend.
    public func serviceName(of frontend: SocketAddress, _ ipProtocol: IPProtocol) -> ServicePortName? {
        let key = Frontend(address: frontend.address, port: frontend.port, ipProtocol: ipProtocol).key
        let service = try? serviceMap.value(of: key, as: apus_service.self)
        return service.flatMap { serviceName(id: $0.service) }
    }

    func endpointName(slot: UInt32) -> EndpointName? {
        guard let name = text(of: .endpoint(Int(slot))).flatMap(EndpointIdentityName.init) else { return nil }
        return EndpointName(namespace: name.pod.namespace, name: name.pod.name, uid: name.uid)
    }

    func serviceName(id: UInt32) -> ServicePortName? {
        let parts = text(of: .service(id))?.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let parts, parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        return ServicePortName(namespace: parts[0], name: parts[1], portName: parts[2])
    }

    func text(of key: NameKey) -> String? {
        guard let value = try? names.value(of: key.key) else { return nil }
        let text = NameKey.text(value)
        return text.isEmpty ? nil : text
    }
}
