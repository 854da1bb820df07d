import Addressing
import Kubernetes

/// What kube-proxy does with a connection to a Service, written down rule by rule and not for speed: the oracle of the
/// random clusters. It knows the objects only, and nothing of how Apus keeps them.
struct KubeProxyModel {
    enum Answer: Hashable {
        case refused
        case oneOf(Set<SocketAddress>)
    }

    var node: String
    /// Those that node ports are on.
    var nodeAddresses: Set<IPAddress> = []
    var nodes: [String: Node] = [:]
    var services: [String: Service] = [:]
    var slices: [String: EndpointSlice] = [:]

    /// What a client on this node connects to.
    struct Destination: Hashable {
        var address: IPAddress
        var port: Port
        var ipProtocol: IPProtocol
    }

    /// What clients on this node get, pods and the node's own processes alike; no other destination is a Service's.
    var answers: [Destination: Answer] {
        var answers: [Destination: Answer] = [:]
        var taken: Set<Destination> = []
        let served = services.values.filter(isServed).sorted { $0.meta.name < $1.meta.name }
        for (kind, addresses, number) in Self.kinds {
            for service in served {
                for address in addresses(self, service) where isOfFamilies(address, service) {
                    for port in service.ports {
                        guard let number = number(port) else { continue }
                        let destination = Destination(address: address, port: number, ipProtocol: port.ipProtocol)
                        guard taken.insert(destination).inserted else { continue }
                        if kind == .balancer, isLimited(address, service) { continue }
                        let isLocal = kind == .cluster && service.internalTrafficPolicy == .local
                        let all = candidates(service, port, isIPv4: address.isIPv4)
                        let chosen = chosen(all, stayingHere: isLocal)
                        answers[destination] = chosen.isEmpty ? .refused : .oneOf(Set(chosen.map(\.address)))
                    }
                }
            }
        }
        return answers
    }

    private enum Kind {
        case cluster, balancer, other
    }

    /// The addresses and ports that Services have, the first ones first where several want the same.
    private static var kinds: [(Kind, (KubeProxyModel, Service) -> [IPAddress], (ServicePort) -> Port?)] {
        [
            (.cluster, { _, service in service.clusterIPs }, { $0.port }),
            (.balancer, { _, service in balancers(service) }, { $0.port }),
            (.other, { _, service in service.externalIPs }, { $0.port }),
            (.other, { model, _ in Array(model.nodeAddresses) }, { $0.nodePort }),
        ]
    }

    /// Those of a load balancer that hands packets on as they are.
    private static func balancers(_ service: Service) -> [IPAddress] {
        service.loadBalancer.ingress.filter { $0.mode != .proxy }.compactMap(\.address)
    }

    /// Whether only some clients may use a load balancer's address: such a one is left to the load balancer.
    private func isLimited(_ address: IPAddress, _ service: Service) -> Bool {
        service.loadBalancer.sourceRanges.contains { $0.address.isIPv4 == address.isIPv4 }
    }

    /// A Service is served in the families in which it has a ClusterIP.
    private func isOfFamilies(_ address: IPAddress, _ service: Service) -> Bool {
        service.clusterIPs.contains { $0.isIPv4 == address.isIPv4 }
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

    private func chosen(_ all: [Candidate], stayingHere: Bool) -> [Candidate] {
        let ready = all.filter { isReady($0.endpoint) }
        let terminating = all.filter { !isReady($0.endpoint) && isServingTerminating($0.endpoint) }
        if stayingHere {
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
