import Addressing
import Kubernetes
import PolicyGenerators

@testable import Agent

/// Random Nodes, Services and EndpointSlices, as a control plane might write them: some slices follow from pods, others
/// hold any conditions and hints, as custom controllers write them.
struct RandomServices {
    static let nodes = ["node-a", "node-b", "node-c"]
    static let zones = ["north", "south", "east"]
    static let ports: [Port] = [80, 443, 53]
    static let protocols: [IPProtocol] = [.tcp, .udp, .sctp]
    static let serviceCount = 3
    /// When a Service may have been made, the oldest first.
    static let ages = ["2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]
    /// What `--nodeport-addresses` may be: everything, blocks of one family, of both, of none of the node's addresses.
    static let nodePortSettings: [NodePortAddresses] = [
        .all, .primary, blocks("172.18.0.0/16"), blocks("fd00:18::/64", "::1/128"),
        blocks("10.1.0.0/24", "127.0.0.0/8", "fd00:18::/64"), blocks("198.18.0.0/15"),
    ]

    private static func blocks(_ texts: String...) -> NodePortAddresses {
        .blocks(Set(texts.compactMap { CIDR($0) }))
    }

    var random: RandomSource

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func upTo(_ most: Int) -> Int { Int.random(in: 0...most, using: &random) }

    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements.randomElement(using: &random)! }

    /// The namespace and name of the numbered Service: two have one name.
    static func name(_ number: Int) -> (namespace: String, name: String) {
        number == serviceCount ? ("bank", "s1") : ("shop", "s\(number)")
    }

    /// The addresses of the numbered Service.
    static func addresses(_ number: Int) -> [IPAddress] {
        [IPAddress("10.96.0.\(number)")!, IPAddress("fd00:96::\(number)")!]
    }

    // MARK: Objects

    /// A Node, perhaps without a zone.
    mutating func node(_ name: String) -> Node {
        var labels = ["kubernetes.io/hostname": name]
        if chance(85) { labels["topology.kubernetes.io/zone"] = pick(Self.zones) }
        let all = ["172.18.0.2", "10.1.0.1", "fd00:18::2", "2001:db8::7", "192.0.2.1", "192.0.2.2"]
        let addresses = all.shuffled(using: &random).prefix(upTo(4)).map { text in
            NodeAddress(chance(60) ? .internalIP : .externalIP, IPAddress(text)!)
        }
        return Node(meta: ObjectMeta(name: name, namespace: "", labels: labels), addresses: addresses)
    }

    mutating func nodePorts() -> NodePortAddresses { chance(40) ? .all : pick(Self.nodePortSettings) }

    mutating func service(_ number: Int) -> Service {
        let addresses = Self.addresses(number)
        let isHeadless = chance(5)
        let kinds: [Service.ServiceType] = [.clusterIP, .clusterIP, .clusterIP, .nodePort, .loadBalancer]
        let type = chance(4) ? .externalName : pick(kinds)
        let own = isHeadless ? [] : pick([addresses, addresses, [addresses[0]], [addresses[1]]])
        return Service(
            meta: meta(number), type: type, clusterIPs: own, isHeadless: isHeadless, ports: servicePorts(number, type),
            hasSelector: chance(80), externalIPs: chance(30) ? externalIPs() : [], sessionAffinity: affinity(),
            externalTrafficPolicy: chance(40) ? .local : .cluster,
            internalTrafficPolicy: chance(25) ? .local : .cluster,
            healthCheckNodePort: chance(70) ? Port(32000 + number) : nil,
            trafficDistribution: pick([nil, .preferSameZone, .preferSameNode]),
            publishesNotReadyAddresses: chance(20), ipFamilies: own.map { $0.isIPv4 ? .ipv4 : .ipv6 },
            loadBalancer: type == .loadBalancer ? loadBalancer(number) : LoadBalancer())
    }

    private mutating func meta(_ number: Int) -> ObjectMeta {
        let (namespace, name) = Self.name(number)
        var meta = ObjectMeta(name: name, namespace: namespace)
        if chance(5) { meta.labels["service.kubernetes.io/service-proxy-name"] = pick(["other", ""]) }
        if chance(5) { meta.labels["service.kubernetes.io/headless"] = "" }
        if chance(40) {
            meta.annotations["apus.dev/load-balancer-algorithm"] = pick(["maglev", "random", "Maglev", ""])
        }
        if chance(85) { meta.creationTimestamp = pick(Self.ages) }
        return meta
    }

    /// None, with the time that the API gives where none is written, and with others.
    private mutating func affinity() -> SessionAffinity {
        chance(70) ? .none : .clientIP(timeoutSeconds: pick([10800, 1, 600, 86400]))
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
            sourceRanges: chance(25) ? Array(ranges.shuffled(using: &random).prefix(1 + upTo(1))) : [],
            loadBalancerClass: chance(20) ? "example.com/balancer" : nil, allocatesNodePorts: chance(80))
    }

    /// Addresses that a node may have, those of loopback among them.
    mutating func nodeAddresses() -> Set<IPAddress> {
        let all = ["172.18.0.2", "10.1.0.1", "fd00:18::2", "127.0.0.1", "::1", "192.0.2.2"]
        return Set(all.map { IPAddress($0)! }.filter { _ in chance(70) })
    }

    /// Ports that differ in number or protocol, with names that differ. Now and then a node port is another one's, too.
    private mutating func servicePorts(_ number: Int, _ type: Service.ServiceType) -> [ServicePort] {
        let hasNodePorts = type == .nodePort || type == .loadBalancer && chance(70)
        let firstNodePort = 30000 + (chance(10) ? 0 : number * 10)
        let all = Self.ports.flatMap { port in Self.protocols.map { (port, $0) } }.shuffled(using: &random)
        return all.prefix(1 + upTo(2)).enumerated().map { index, port in
            ServicePort(
                name: "p\(index)", protocol: port.1, port: port.0, targetPort: chance(20) ? .name("web") : nil,
                nodePort: hasNodePorts ? Port(firstNodePort + index) : nil)
        }
    }

    /// One of the slices of a Service; its endpoints have addresses of their own.
    mutating func slice(_ number: Int, of service: Service, _ serviceNumber: Int) -> EndpointSlice {
        var labels = ["kubernetes.io/service-name": service.meta.name]
        if chance(4) { labels["kubernetes.io/service-name"] = nil }
        if chance(4) { labels["service.kubernetes.io/headless"] = "" }
        let isIPv4 = chance(50)
        let hinting = Hinting(nodes: pick([0, 0, 95, 100]), zones: pick([0, 95, 100, 100]))
        let endpoints = (0..<upTo(6)).map { index in
            let addresses = [index, index + 100].map { host in
                isIPv4 ? "10.\(serviceNumber).\(number).\(host)" : "fd00:\(serviceNumber):\(number)::\(host)"
            }.compactMap { IPAddress($0) }
            return endpoint(addresses, service, hinting)
        }
        return EndpointSlice(
            meta: ObjectMeta(
                name: "s\(serviceNumber)-\(number)",
                namespace: chance(4) ? pick(["shop", "bank"]) : service.meta.namespace, labels: labels),
            addressType: chance(3) ? .fqdn : isIPv4 ? .ipv4 : .ipv6, endpoints: endpoints, ports: endpointPorts(service)
        )
    }

    /// In percent, how often the endpoints of a slice have hints.
    private struct Hinting {
        var nodes: Int
        var zones: Int
    }

    /// Mostly with one address, as it is in practice.
    private mutating func endpoint(_ addresses: [IPAddress], _ service: Service, _ hinting: Hinting) -> Endpoint {
        var endpoint = Endpoint(addresses: Array(addresses.prefix(chance(90) ? 1 : pick([0, 2]))))
        endpoint.conditions = chance(70) ? conditionsOfPod(service) : anyConditions()
        endpoint.nodeName = chance(90) ? pick(Self.nodes) : nil
        endpoint.zone = chance(80) ? pick(Self.zones) : nil
        if chance(20) { endpoint.target = TargetReference(kind: "Pod", namespace: "shop", name: "web-1") }
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
