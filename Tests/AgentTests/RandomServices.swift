import Addressing
import Kubernetes
import PolicyGenerators

/// Random Nodes, Services and EndpointSlices, as a control plane might write them: some slices follow from pods, others
/// hold any conditions and hints, as custom controllers write them.
struct RandomServices {
    static let nodes = ["node-a", "node-b", "node-c"]
    static let zones = ["north", "south", "east"]
    static let ports: [Port] = [80, 443, 53]
    static let protocols: [IPProtocol] = [.tcp, .udp, .sctp]
    static let serviceCount = 3

    var random: RandomSource

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func upTo(_ most: Int) -> Int { Int.random(in: 0...most, using: &random) }

    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements.randomElement(using: &random)! }

    /// The addresses of the numbered Service.
    static func addresses(_ number: Int) -> [IPAddress] {
        [IPAddress("10.96.0.\(number)")!, IPAddress("fd00:96::\(number)")!]
    }

    // MARK: Objects

    /// A Node, perhaps without a zone.
    mutating func node(_ name: String) -> Node {
        var labels = ["kubernetes.io/hostname": name]
        if chance(85) { labels["topology.kubernetes.io/zone"] = pick(Self.zones) }
        let shared = chance(30) ? [NodeAddress(.externalIP, IPAddress("192.0.2.1")!)] : []
        return Node(meta: ObjectMeta(name: name, namespace: "", labels: labels), addresses: shared)
    }

    mutating func service(_ number: Int) -> Service {
        var labels: [String: String] = [:]
        if chance(5) { labels["service.kubernetes.io/service-proxy-name"] = pick(["other", ""]) }
        if chance(5) { labels["service.kubernetes.io/headless"] = "" }
        let addresses = Self.addresses(number)
        let isHeadless = chance(5)
        let kinds: [Service.ServiceType] = [.clusterIP, .clusterIP, .clusterIP, .nodePort, .loadBalancer]
        let type = chance(4) ? .externalName : pick(kinds)
        return Service(
            meta: ObjectMeta(name: "s\(number)", namespace: "shop", labels: labels), type: type,
            clusterIPs: isHeadless ? [] : pick([addresses, addresses, [addresses[0]], [addresses[1]]]),
            isHeadless: isHeadless, ports: servicePorts(number, type),
            externalIPs: chance(30) ? externalIPs() : [], externalTrafficPolicy: chance(40) ? .local : .cluster,
            internalTrafficPolicy: chance(25) ? .local : .cluster, publishesNotReadyAddresses: chance(20),
            loadBalancer: type == .loadBalancer ? loadBalancer(number) : LoadBalancer())
    }

    /// Some that several Services ask for, and now and then another one's own.
    private mutating func externalIPs() -> [IPAddress] {
        let others = Self.addresses(1 + upTo(Self.serviceCount - 1))
        let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map { IPAddress($0)! } + (chance(20) ? others : [])
        return Array(all.shuffled(using: &random).prefix(1 + upTo(2)))
    }

    private mutating func loadBalancer(_ number: Int) -> LoadBalancer {
        let shared = chance(10) ? ["192.0.2.1"] : []
        let addresses = ["203.0.113.\(number)", "2001:db8:113::\(number)"] + shared
        let ranges = ["198.51.100.0/24", "10.0.0.0/8", "2001:db8:51::/48"].map { CIDR($0)! }
        return LoadBalancer(
            ingress: addresses.map { LoadBalancerIngress(address: IPAddress($0)!, mode: chance(25) ? .proxy : .vip) }
                + (chance(10) ? [LoadBalancerIngress(hostname: "lb.example")] : []),
            sourceRanges: chance(25) ? [pick(ranges)] : [], allocatesNodePorts: chance(80))
    }

    /// Addresses that a node may have, those of loopback among them.
    mutating func nodeAddresses() -> Set<IPAddress> {
        let all = ["172.18.0.2", "10.1.0.1", "fd00:18::2", "127.0.0.1", "::1", "192.0.2.2"]
        return Set(all.map { IPAddress($0)! }.filter { _ in chance(70) })
    }

    /// Ports that differ in number or protocol, with names that differ.
    private mutating func servicePorts(_ number: Int, _ type: Service.ServiceType) -> [ServicePort] {
        let hasNodePorts = type == .nodePort || type == .loadBalancer && chance(70)
        let all = Self.ports.flatMap { port in Self.protocols.map { (port, $0) } }.shuffled(using: &random)
        return all.prefix(1 + upTo(2)).enumerated().map { index, port in
            ServicePort(
                name: "p\(index)", protocol: port.1, port: port.0,
                nodePort: hasNodePorts ? Port(30000 + number * 10 + index) : nil)
        }
    }

    /// One of the slices of a Service; its endpoints have addresses of their own.
    mutating func slice(_ number: Int, of service: Service) -> EndpointSlice {
        var labels = ["kubernetes.io/service-name": service.meta.name]
        if chance(4) { labels["kubernetes.io/service-name"] = nil }
        if chance(4) { labels["service.kubernetes.io/headless"] = "" }
        let isIPv4 = chance(50)
        let hinting = Hinting(nodes: pick([0, 0, 95, 100]), zones: pick([0, 95, 100, 100]))
        let serviceNumber = service.meta.name.dropFirst()
        let endpoints = (0..<upTo(6)).map { index in
            let address =
                isIPv4 ? "10.\(serviceNumber).\(number).\(index)" : "fd00:\(serviceNumber):\(number)::\(index)"
            return endpoint(IPAddress(address)!, service, hinting)
        }
        return EndpointSlice(
            meta: ObjectMeta(name: "\(service.meta.name)-\(number)", namespace: "shop", labels: labels),
            addressType: chance(3) ? .fqdn : isIPv4 ? .ipv4 : .ipv6, endpoints: endpoints, ports: endpointPorts(service)
        )
    }

    /// In percent, how often the endpoints of a slice have hints.
    private struct Hinting {
        var nodes: Int
        var zones: Int
    }

    private mutating func endpoint(_ address: IPAddress, _ service: Service, _ hinting: Hinting) -> Endpoint {
        var endpoint = Endpoint(addresses: [address])
        endpoint.conditions = chance(70) ? conditionsOfPod(service) : anyConditions()
        endpoint.nodeName = chance(90) ? pick(Self.nodes) : nil
        endpoint.zone = chance(80) ? pick(Self.zones) : nil
        if chance(hinting.nodes) { endpoint.nodeHints = hints(Self.nodes) }
        if chance(hinting.zones) { endpoint.zoneHints = hints(Self.zones) }
        return endpoint
    }

    private mutating func hints(_ names: [String]) -> [String] {
        Array(names.shuffled(using: &random).prefix(chance(80) ? 1 : 2))
    }

    /// As the EndpointSlice controller writes them.
    private mutating func conditionsOfPod(_ service: Service) -> EndpointConditions {
        let (isServing, isTerminating) = (chance(75), chance(25))
        let isReady = service.publishesNotReadyAddresses || isServing && !isTerminating
        return EndpointConditions(ready: isReady, serving: isServing, terminating: isTerminating)
    }

    private mutating func anyConditions() -> EndpointConditions {
        let values: [Bool?] = [nil, true, false]
        return EndpointConditions(ready: pick(values), serving: pick(values), terminating: pick(values))
    }

    /// Mostly those of the Service; a name may lead to other numbers in other slices, or be of another protocol.
    private mutating func endpointPorts(_ service: Service) -> [EndpointPort] {
        var ports: [EndpointPort] = []
        for port in service.ports where chance(90) {
            let ipProtocol = chance(95) ? port.ipProtocol : pick(Self.protocols)
            ports.append(
                EndpointPort(name: port.name, protocol: ipProtocol, port: chance(95) ? pick([8080, 8081]) : nil))
        }
        return ports
    }
}
