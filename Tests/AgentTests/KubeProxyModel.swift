import Addressing
import Kubernetes

/// What kube-proxy does with a connection to a Service, written down rule by rule and not for speed: the oracle of the
/// random clusters. It knows the objects only, and nothing of how Apus keeps them.
struct KubeProxyModel {
    enum Answer: Hashable {
        case notAService, refused
        case oneOf(Set<SocketAddress>)
    }

    var node: String
    var nodes: [String: Node] = [:]
    var services: [String: Service] = [:]
    var slices: [String: EndpointSlice] = [:]

    /// What a client on this node gets that connects to an address and port.
    func answer(_ address: IPAddress, _ port: Port, _ ipProtocol: IPProtocol) -> Answer {
        for service in services.values where isServed(service) && service.clusterIPs.contains(address) {
            for servicePort in service.ports where servicePort.port == port && servicePort.ipProtocol == ipProtocol {
                let chosen = chosen(service, candidates(service, servicePort, isIPv4: address.isIPv4))
                return chosen.isEmpty ? .refused : .oneOf(Set(chosen.map(\.address)))
            }
        }
        return .notAService
    }

    // MARK: Objects

    /// Another proxy's Services, those without an address and mere names for others are left alone.
    private func isServed(_ service: Service) -> Bool {
        service.type != .externalName && !service.isHeadless
            && service.meta.labels["service.kubernetes.io/service-proxy-name"] == nil
    }

    private struct Candidate {
        let address: SocketAddress
        let endpoint: Endpoint
    }

    /// All endpoints of the family with the Service's port, in whatever condition.
    private func candidates(_ service: Service, _ servicePort: ServicePort, isIPv4: Bool) -> [Candidate] {
        let own = slices.values.filter { slice in
            slice.meta.namespace == service.meta.namespace
                && slice.meta.labels["kubernetes.io/service-name"] == service.meta.name
                && slice.meta.labels["service.kubernetes.io/headless"] == nil
                && slice.addressType == (isIPv4 ? .ipv4 : .ipv6)
        }
        return own.flatMap { slice in
            slice.ports.filter { $0.name == servicePort.name && $0.ipProtocol == servicePort.ipProtocol }
                .compactMap(\.port)
                .flatMap { number in
                    slice.endpoints.map { endpoint in
                        Candidate(address: SocketAddress(endpoint.addresses[0], number), endpoint: endpoint)
                    }
                }
        }
    }

    // MARK: Choice

    private func isReady(_ endpoint: Endpoint) -> Bool { endpoint.conditions.ready != false }

    private func isServingTerminating(_ endpoint: Endpoint) -> Bool {
        endpoint.conditions.serving != false && endpoint.conditions.terminating == true
    }

    private func chosen(_ service: Service, _ all: [Candidate]) -> [Candidate] {
        let ready = all.filter { isReady($0.endpoint) }
        let terminating = all.filter { !isReady($0.endpoint) && isServingTerminating($0.endpoint) }
        if service.internalTrafficPolicy == .local {
            let isHere = { (candidate: Candidate) in candidate.endpoint.nodeName == node }
            let readyHere = ready.filter(isHere)
            return readyHere.isEmpty ? terminating.filter(isHere) : readyHere
        }
        return ready.isEmpty ? terminating : near(ready)
    }

    /// Those of the ready endpoints that are meant for clients here.
    private func near(_ ready: [Candidate]) -> [Candidate] {
        let forNode = ready.filter { $0.endpoint.nodeHints.contains(node) }
        if ready.allSatisfy({ !$0.endpoint.nodeHints.isEmpty }), !forNode.isEmpty { return forNode }
        guard let zone = nodes[node]?.meta.labels["topology.kubernetes.io/zone"] else { return ready }
        let forZone = ready.filter { $0.endpoint.zoneHints.contains(zone) }
        if ready.allSatisfy({ !$0.endpoint.zoneHints.isEmpty }), !forZone.isEmpty { return forZone }
        return ready
    }
}
