import Addressing
import Kubernetes

/// What kube-proxy does with a connection to a Service, written down rule by rule and not for speed: the oracle of the
/// random clusters. It knows the objects only, and nothing of how Apus keeps them.
struct KubeProxyModel {
    enum Answer: Hashable {
        case refused
        /// There are endpoints, but none on this node, where traffic stays on the node.
        case dropped
        case oneOf(Set<SocketAddress>)

        var addresses: Set<SocketAddress> { if case .oneOf(let addresses) = self { addresses } else { [] } }
    }

    /// What clients get at one destination.
    struct Offer: Hashable {
        /// Those on this node, pods and the node's own processes alike.
        var inside: Answer
        /// Those elsewhere, whose packets come to this node; nil: they are not served.
        var outside: Answer?
        /// Of UDP, where nothing new goes and what goes there stays: kube-proxy takes a flow's entry away from the
        /// kernel's table once its endpoint does not serve the Service port, whatever policies, hints and the endpoint's
        /// end say of new ones.
        var kept: Set<SocketAddress>
        /// The blocks of those who may connect; nil: all may.
        var ranges: Set<CIDR>?

        func admits(_ client: IPAddress) -> Bool { ranges?.contains { $0.contains(client) } ?? true }
    }

    var node: String
    /// Those that node ports are on.
    var nodeAddresses: Set<IPAddress> = []
    /// Those that its interfaces have.
    var localAddresses: Set<IPAddress> = []
    /// Those that the node's own connections come from.
    var nodeSources: Set<IPAddress> = []
    var nodes: [String: Node] = [:]
    var services: [String: Service] = [:]
    var slices: [String: EndpointSlice] = [:]

    /// What a client connects to.
    struct Destination: Hashable {
        var address: IPAddress
        var port: Port
        var ipProtocol: IPProtocol
    }

    /// What clients get; no other destination is a Service's.
    var offers: [Destination: Offer] {
        var offers: [Destination: Offer] = [:]
        let served = services.values.filter(isServed).sorted { $0.meta.name < $1.meta.name }
        for (kind, addresses, number) in Self.kinds {
            for service in served {
                for address in addresses(self, service) where isOfFamilies(address, service) {
                    for port in service.ports {
                        guard let number = number(port) else { continue }
                        let destination = Destination(address: address, port: number, ipProtocol: port.ipProtocol)
                        guard offers[destination] == nil else { continue }
                        let all = candidates(service, port, isIPv4: address.isIPv4)
                        let (inside, outside) = (inside(all, kind, service), outside(all, kind, service))
                        let serving = all.filter { $0.endpoint.conditions.serving != false }.map(\.address)
                        let chosen = inside.addresses.union(outside?.addresses ?? [])
                        offers[destination] = Offer(
                            inside: inside, outside: outside,
                            kept: port.ipProtocol == .udp ? Set(serving).subtracting(chosen) : [],
                            ranges: kind == .balancer ? ranges(address, service) : nil)
                    }
                }
            }
        }
        return offers
    }

    /// The addresses of Services of which everything is refused that no Service has, and whether that is for clients
    /// inside only. An address of a node stays the node's, and an external one may be anybody's.
    var refusals: [IPAddress: Bool] {
        var refusals: [IPAddress: Bool] = [:]
        let ofNodes = localAddresses.union(nodes.values.flatMap { $0.addresses.map(\.address) })
        for service in services.values.filter(isServed) {
            let own = service.clusterIPs
            for address in own + Self.balancers(service)
            where isOfFamilies(address, service) && !ofNodes.contains(address) {
                refusals[address] = refusals[address] ?? false || own.contains(address)
            }
        }
        return refusals
    }

    private func inside(_ all: [Candidate], _ kind: Kind, _ service: Service) -> Answer {
        answer(chosen(all, stayingHere: kind == .cluster && service.internalTrafficPolicy == .local))
    }

    /// Clients elsewhere have no business with a ClusterIP.
    private func outside(_ all: [Candidate], _ kind: Kind, _ service: Service) -> Answer? {
        if kind == .cluster { return nil }
        let anywhere = answer(chosen(all, stayingHere: false))
        guard service.externalTrafficPolicy == .local else { return anywhere }
        let here = answer(chosen(all, stayingHere: true))
        return here == .refused && anywhere != .refused ? .dropped : here
    }

    private func answer(_ chosen: [Candidate]) -> Answer {
        chosen.isEmpty ? .refused : .oneOf(Set(chosen.map(\.address)))
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

    /// The clients of a load balancer's address; a Service without ranges of the family is for all.
    private func ranges(_ address: IPAddress, _ service: Service) -> Set<CIDR>? {
        let own = service.loadBalancer.sourceRanges.filter { $0.address.isIPv4 == address.isIPv4 }
        return own.isEmpty ? nil : Set(own)
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
