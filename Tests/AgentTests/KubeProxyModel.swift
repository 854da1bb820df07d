import Addressing
import Kubernetes

@testable import Agent

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
        /// The Service, by namespace and name.
        var service: String
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
        /// For how many seconds a client keeps its backend; nil: it keeps none.
        var affinity: Int?

        func admits(_ client: IPAddress) -> Bool { ranges?.contains { $0.contains(client) } ?? true }
    }

    /// What a load balancer is told that looks for nodes with endpoints; without any it is not to send here.
    struct HealthAnswer: Hashable {
        var port: Port
        var endpoints: Int
    }

    var node: String
    /// Which addresses node ports are on.
    var nodePorts = NodePortAddresses.all
    /// Whether clients elsewhere have business with a ClusterIP. kube-proxy serves whoever comes.
    var servesClusterIPsOutside = true
    /// Those that its interfaces have.
    var localAddresses: Set<IPAddress> = []
    /// Those that the node's own connections come from.
    var nodeSources: Set<IPAddress> = []
    var nodes: [String: Node] = [:]
    /// By namespace and name.
    var services: [String: Service] = [:]
    var slices: [String: EndpointSlice] = [:]

    /// What a client connects to.
    struct Destination: Hashable {
        var address: IPAddress
        var port: Port
        var ipProtocol: IPProtocol
    }

    /// A Service that wants a destination, for one of its ports.
    struct Claim {
        var service: Service
        var port: ServicePort
        var kind: Kind
    }

    enum Kind: CaseIterable {
        case cluster, balancer, external, nodePort
    }

    /// Who wants what; no other destination is a Service's. Who gets it says `FrontendContest`.
    var claims: [Destination: [Claim]] {
        var claims: [Destination: [Claim]] = [:]
        let onNode = Array(nodeAddresses)
        for service in services.values where isServed(service) {
            for kind in Kind.allCases {
                for address in addresses(kind, service, onNode) where isOfFamilies(address, service) {
                    for port in service.ports {
                        guard let number = kind == .nodePort ? port.nodePort : port.port else { continue }
                        let destination = Destination(address: address, port: number, ipProtocol: port.ipProtocol)
                        claims[destination, default: []].append(Claim(service: service, port: port, kind: kind))
                    }
                }
            }
        }
        return claims
    }

    /// What clients get where a Service has a destination.
    func offer(_ claim: Claim, at address: IPAddress) -> Offer {
        let all = candidates(claim.service, claim.port, isIPv4: address.isIPv4)
        let (inside, outside) = (inside(all, claim), outside(all, claim))
        let serving = all.filter { $0.endpoint.conditions.serving != false }.map(\.address)
        let chosen = inside.addresses.union(outside?.addresses ?? [])
        return Offer(
            service: claim.service.key, inside: inside, outside: outside,
            kept: claim.port.ipProtocol == .udp ? Set(serving).subtracting(chosen) : [],
            ranges: claim.kind == .balancer ? ranges(address, claim.service) : nil,
            affinity: affinity(claim.service))
    }

    /// The addresses of Services of which everything is refused that no Service has, and whether that is for clients
    /// inside only, as those of ClusterIPs may be. An address of a node stays the node's, and an external one may be anybody's.
    var refusals: [IPAddress: Bool] {
        var refusals: [IPAddress: Bool] = [:]
        let ofNodes = localAddresses.union(nodes.values.flatMap { $0.addresses.map(\.address) })
        for service in services.values.filter(isServed) {
            let own = service.clusterIPs
            for address in own + Self.balancers(service)
            where isOfFamilies(address, service) && !ofNodes.contains(address) {
                refusals[address] = refusals[address] ?? false || own.contains(address) && !servesClusterIPsOutside
            }
        }
        return refusals
    }

    /// Where load balancers ask this node, by Service. Each family has a proxy of its own, and a Service is counted
    /// by those of its families; of a pod with both one address counts.
    var healthAnswers: [String: HealthAnswer] {
        var answers: [String: HealthAnswer] = [:]
        for (name, service) in services where isServed(service) && service.type == .loadBalancer {
            guard service.externalTrafficPolicy == .local, let port = service.healthCheckNodePort else { continue }
            let counts = Set(service.clusterIPs.map(\.isIPv4)).map { isIPv4 in
                let here = slices(of: service, isIPv4: isIPv4).filter { $0.ports.contains { $0.port != nil } }
                    .flatMap(\.endpoints).filter { isReady($0) && $0.nodeName == node }
                return Set(here.compactMap(\.addresses.first)).count
            }
            answers[name] = HealthAnswer(port: port, endpoints: counts.max() ?? 0)
        }
        return answers
    }

    // MARK: Clients

    /// Clients of this node at addresses of the outside are led like those at a ClusterIP of the whole cluster.
    private func inside(_ all: [Candidate], _ claim: Claim) -> Answer {
        answer(all, stayingHere: claim.kind == .cluster && claim.service.internalTrafficPolicy == .local)
    }

    /// Clients elsewhere are led at a ClusterIP as those of this node are, if they have business with it at all.
    private func outside(_ all: [Candidate], _ claim: Claim) -> Answer? {
        if claim.kind == .cluster { return servesClusterIPsOutside ? inside(all, claim) : nil }
        return answer(all, stayingHere: claim.service.externalTrafficPolicy == .local)
    }

    /// Where traffic stays on the node, it is refused only if no node has an endpoint.
    private func answer(_ all: [Candidate], stayingHere: Bool) -> Answer {
        let anywhere = answer(chosen(all, stayingHere: false))
        guard stayingHere else { return anywhere }
        let here = answer(chosen(all, stayingHere: true))
        return here == .refused && anywhere != .refused ? .dropped : here
    }

    private func answer(_ chosen: [Candidate]) -> Answer {
        chosen.isEmpty ? .refused : .oneOf(Set(chosen.map(\.address)))
    }

    // MARK: Addresses

    private static let linkLocal = CIDR("fe80::/10")!

    private func addresses(_ kind: Kind, _ service: Service, _ onNode: [IPAddress]) -> [IPAddress] {
        switch kind {
        case .cluster: service.clusterIPs
        case .balancer: Self.balancers(service)
        case .external: service.externalIPs
        case .nodePort: onNode
        }
    }

    /// Those that node ports are on. Of blocks of one family only kube-proxy makes none for the other family, so that
    /// all of its addresses have them; here those outside of the blocks have none. Links share their local addresses.
    var nodeAddresses: Set<IPAddress> {
        let own = localAddresses.filter { !Self.linkLocal.contains($0) }
        switch nodePorts {
        case .all: return own
        case .blocks(let blocks): return own.filter { address in blocks.contains { $0.contains(address) } }
        case .primary: return own.filter(isPrimary)
        }
    }

    /// Whether the Node object has no other internal address of the family before it, or has only external ones.
    private func isPrimary(_ address: IPAddress) -> Bool {
        let ofFamily = (nodes[node]?.addresses ?? []).filter { $0.address.isIPv4 == address.isIPv4 }
        let first = ofFamily.first { $0.kind == .internalIP } ?? ofFamily.first
        return first?.address == address
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

    private func affinity(_ service: Service) -> Int? {
        if case .clientIP(let seconds) = service.sessionAffinity { seconds } else { nil }
    }

    /// A Service is served in the families in which it has a ClusterIP.
    private func isOfFamilies(_ address: IPAddress, _ service: Service) -> Bool {
        service.clusterIPs.contains { $0.isIPv4 == address.isIPv4 }
    }

    // MARK: Objects

    /// Another proxy's Services, those without an address and mere names for others are left alone.
    func isServed(_ service: Service) -> Bool {
        service.type != .externalName && !service.isHeadless
            && service.meta.labels["service.kubernetes.io/service-proxy-name"] == nil
    }

    private struct Candidate {
        let address: SocketAddress
        let endpoint: Endpoint
    }

    /// The slices of a Service that are for proxies, of one family.
    private func slices(of service: Service, isIPv4: Bool) -> [EndpointSlice] {
        slices.values.filter { slice in
            slice.meta.namespace == service.meta.namespace
                && slice.meta.labels["kubernetes.io/service-name"] == service.meta.name
                && slice.meta.labels["service.kubernetes.io/headless"] == nil
                && slice.addressType == (isIPv4 ? .ipv4 : .ipv6)
        }
    }

    /// All endpoints of the family with the Service's port, in whatever condition; of its addresses the first counts.
    private func candidates(_ service: Service, _ servicePort: ServicePort, isIPv4: Bool) -> [Candidate] {
        slices(of: service, isIPv4: isIPv4).flatMap { slice in
            slice.ports.filter { $0.name == servicePort.name && $0.ipProtocol == servicePort.ipProtocol }
                .compactMap(\.port)
                .flatMap { number in
                    slice.endpoints.compactMap { endpoint in
                        endpoint.addresses.first.map {
                            Candidate(address: SocketAddress($0, number), endpoint: endpoint)
                        }
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

extension Service {
    /// Its namespace and name.
    var key: String { "\(meta.namespace)/\(meta.name)" }
}
