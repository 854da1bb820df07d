import Addressing
import Kubernetes
import Testing

@Suite("Decoding of Services and EndpointSlices")
struct ServiceDecodingTests {
    @Test("an empty Service has the API's defaults")
    func defaults() throws {
        let service = try service("spec: {}")
        #expect(service == Service(meta: service.meta, hasSelector: false))
        #expect(service.type == .clusterIP && service.clusterIPs.isEmpty && !service.isHeadless)
    }

    @Test(
        "types by their names",
        arguments: [
            ("ClusterIP", Service.ServiceType.clusterIP), ("NodePort", .nodePort), ("LoadBalancer", .loadBalancer),
            ("ExternalName", .externalName),
        ])
    func types(name: String, type: Service.ServiceType) throws {
        #expect(try service("spec: {type: \(name)}").type == type)
    }

    @Test(
        "virtual addresses, and None for headless",
        arguments: [
            ("clusterIPs: [10.96.0.1, 'fd00::1'], clusterIP: 10.96.0.1", ["10.96.0.1", "fd00::1"], false),
            ("clusterIP: 10.96.0.1", ["10.96.0.1"], false),
            ("clusterIPs: [None], clusterIP: None", [], true),
            ("clusterIP: None", [], true),
            ("clusterIP: ''", [], false),
            ("clusterIP: 10.096.0.010, clusterIPs: [10.096.0.010]", ["10.96.0.10"], false),
        ])
    func clusterIPs(spec: String, addresses: [String], isHeadless: Bool) throws {
        let service = try service("spec: {\(spec)}")
        #expect(service.clusterIPs == (try addresses.map(address)))
        #expect(service.isHeadless == isHeadless)
    }

    @Test(
        "ports with their defaults",
        arguments: [
            ("{port: 80}", ServicePort(port: 80)),
            ("{port: 80, targetPort: 8080}", ServicePort(port: 80, targetPort: .number(8080))),
            ("{port: 80, targetPort: http}", ServicePort(port: 80, targetPort: .name("http"))),
            ("{port: 80, targetPort: 0, nodePort: 0}", ServicePort(port: 80, targetPort: .number(80))),
            ("{port: 80, targetPort: ''}", ServicePort(port: 80)),
            ("{name: dns, protocol: UDP, port: 53}", ServicePort(name: "dns", protocol: .udp, port: 53)),
            ("{protocol: SCTP, port: 0x10}", ServicePort(protocol: .sctp, port: 16)),
            ("{port: 443, nodePort: 31443, appProtocol: https}", ServicePort(port: 443, nodePort: 31443)),
        ])
    func ports(text: String, port: ServicePort) throws {
        #expect(try service("spec: {ports: [\(text)]}").ports == [port])
    }

    @Test("traffic settings")
    func traffic() throws {
        let service = try service(
            """
            spec: {selector: {app: web}, externalIPs: [198.51.100.20], sessionAffinity: ClientIP,
            sessionAffinityConfig: {clientIP: {timeoutSeconds: 600}}, externalTrafficPolicy: Local,
            internalTrafficPolicy: Local, healthCheckNodePort: 32022, publishNotReadyAddresses: true,
            trafficDistribution: PreferSameNode, ipFamilies: [IPv6, IPv4]}
            """)
        #expect(service.hasSelector && service.publishesNotReadyAddresses)
        #expect(service.externalIPs == [try address("198.51.100.20")])
        #expect(service.sessionAffinity == .clientIP(timeoutSeconds: 600))
        #expect(service.externalTrafficPolicy == .local && service.internalTrafficPolicy == .local)
        #expect(service.healthCheckNodePort == 32022)
        #expect(service.trafficDistribution == .preferSameNode)
        #expect(service.ipFamilies == [.ipv6, .ipv4])
    }

    @Test("client affinity lasts three hours by default")
    func affinityDefault() throws {
        #expect(
            try service("spec: {sessionAffinity: ClientIP}").sessionAffinity == .clientIP(timeoutSeconds: 10800))
        #expect(try service("spec: {sessionAffinity: None}").sessionAffinity == .none)
    }

    @Test(
        "preferred topologies; an unknown one is only a wish",
        arguments: [
            ("PreferClose", TrafficDistribution.preferSameZone), ("PreferSameZone", .preferSameZone),
            ("PreferSameNode", .preferSameNode), ("PreferWarm", nil),
        ])
    func distribution(name: String, value: TrafficDistribution?) throws {
        #expect(try service("spec: {trafficDistribution: \(name)}").trafficDistribution == value)
    }

    @Test("the load balancer's wishes and state")
    func loadBalancer() throws {
        let service = try service(
            """
            spec: {type: LoadBalancer, loadBalancerSourceRanges: [198.51.100.0/24, ' 10.0.0.0/8 '],
            loadBalancerClass: example.com/edge, allocateLoadBalancerNodePorts: false},
            status: {loadBalancer: {ingress: [{ip: 203.0.113.30, ipMode: Proxy}, {ip: '2001:db8::1'},
            {hostname: dash.lb.example}]}}
            """)
        #expect(
            service.loadBalancer
                == LoadBalancer(
                    ingress: [
                        LoadBalancerIngress(address: try address("203.0.113.30"), mode: .proxy),
                        LoadBalancerIngress(address: try address("2001:db8::1"), mode: .vip),
                        LoadBalancerIngress(hostname: "dash.lb.example"),
                    ], sourceRanges: [try cidr("198.51.100.0/24"), try cidr("10.0.0.0/8")],
                    loadBalancerClass: "example.com/edge", allocatesNodePorts: false))
    }

    @Test("a Service of another proxy says so")
    func proxyName() throws {
        let object = try onlyObject(
            """
            {apiVersion: v1, kind: Service,
             metadata: {name: a, labels: {service.kubernetes.io/service-proxy-name: x}}}
            """
        )
        guard case .service(let service) = object else { throw WrongKind() }
        #expect(service.proxyName == "x")
    }

    @Test("an endpoint has its place, conditions, hints and target")
    func endpoint() throws {
        let slice = try slice(
            """
            addressType: IPv4, ports: [{name: http, port: 8080, protocol: TCP}], endpoints: [{addresses: [10.0.0.1],
            conditions: {ready: false, serving: true, terminating: true}, nodeName: node-a, zone: north-1,
            hints: {forZones: [{name: north-1}, {name: north-2}], forNodes: [{name: node-a}]}, hostname: web-0,
            targetRef: {kind: Pod, namespace: shop, name: web-0, uid: u1}}]
            """)
        #expect(
            slice.endpoints == [
                Endpoint(
                    addresses: [try address("10.0.0.1")],
                    conditions: EndpointConditions(ready: false, serving: true, terminating: true),
                    nodeName: "node-a", zone: "north-1", zoneHints: ["north-1", "north-2"], nodeHints: ["node-a"],
                    target: TargetReference(kind: "Pod", namespace: "shop", name: "web-0", uid: "u1"))
            ])
        #expect(slice.ports == [EndpointPort(name: "http", port: 8080)])
    }

    @Test(
        "unknown conditions mean ready, serving and not terminating",
        arguments: ["", "conditions: {}", "conditions: null"])
    func unknownConditions(text: String) throws {
        let separator = text.isEmpty ? "" : ", "
        let slice = try slice("addressType: IPv6, endpoints: [{addresses: ['fd00::1']\(separator)\(text)}]")
        let conditions = try #require(slice.endpoints.first?.conditions)
        #expect(conditions == EndpointConditions())
        #expect(conditions.isReady && conditions.isServing && !conditions.isTerminating)
    }

    @Test("null lists of a slice are empty, and a port may lack its number")
    func nullLists() throws {
        let empty = try slice("addressType: IPv4, ports: null, endpoints: null")
        #expect(empty.ports.isEmpty && empty.endpoints.isEmpty && empty.serviceName == nil)
        #expect(try slice("addressType: IPv4, ports: [{name: '', port: null}]").ports == [EndpointPort(port: nil)])
    }

    @Test("a slice of host names keeps its endpoints without addresses")
    func hostNames() throws {
        let slice = try slice("addressType: FQDN, endpoints: [{addresses: [iso.cards.example]}]")
        #expect(slice.addressType == .fqdn && slice.endpoints == [Endpoint(addresses: [])])
    }

    @Test("labels tie a slice to its Service")
    func sliceLabels() throws {
        let object = try onlyObject(
            """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: a, labels: {kubernetes.io/service-name: web, service.kubernetes.io/headless: ""}}
            addressType: IPv4
            """)
        guard case .endpointSlice(let slice) = object else { throw WrongKind() }
        #expect(slice.serviceName == "web" && slice.isForHeadlessService)
    }
}
