import Addressing
import AgentAPI
import Kubernetes
import Testing

@testable import Agent

@Suite struct ServiceTraces {
    private static let cluster = """
        kind: Node
        apiVersion: v1
        metadata: {name: node-a, labels: {topology.kubernetes.io/zone: north}}
        ---
        kind: Pod
        apiVersion: v1
        metadata: {name: client, namespace: shop, uid: u}
        spec: {nodeName: node-a, containers: [{name: main, image: none}]}
        status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}
        ---
        kind: Service
        apiVersion: v1
        metadata: {name: web, namespace: shop}
        spec:
          clusterIP: 10.96.0.1
          clusterIPs: [10.96.0.1]
          ports: [{name: http, port: 80}]
          sessionAffinity: ClientIP
        ---
        kind: EndpointSlice
        apiVersion: discovery.k8s.io/v1
        addressType: IPv4
        metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
        ports: [{name: http, port: 8080}]
        endpoints:
        - {addresses: [10.1.0.1], nodeName: node-a, hints: {forZones: [{name: north}]}}
        - {addresses: [10.1.0.2], nodeName: node-b, zone: south, hints: {forZones: [{name: south}]}}
        - {addresses: [10.1.0.3], conditions: {ready: false}}
        - {addresses: [10.1.0.4], conditions: {ready: false, serving: true, terminating: true}}
        ---
        kind: EndpointSlice
        apiVersion: discovery.k8s.io/v1
        addressType: IPv4
        metadata: {name: web-2, namespace: shop, labels: {kubernetes.io/service-name: web}}
        ports: [{name: metrics, port: 9090}]
        endpoints: [{addresses: [10.1.0.5]}]
        ---
        kind: EndpointSlice
        apiVersion: discovery.k8s.io/v1
        addressType: IPv6
        metadata: {name: web-3, namespace: shop, labels: {kubernetes.io/service-name: web}}
        ports: [{name: http, port: 8080}]
        endpoints: [{addresses: ["fd00::5"]}]

        """

    private func state(
        servesClusterIPsOutside: Bool = true, _ edit: (String) -> String = { $0 }
    ) throws -> ClusterState {
        let manifest = Manifest(source: "test.yaml", bytes: Array(edit(Self.cluster).utf8))
        try #require(manifest.diagnostics.isEmpty, "\(manifest.diagnostics)")
        var state = ClusterState(node: "node-a", servesClusterIPsOutside: servesClusterIPsOutside)
        _ = state.apply(manifest.objects.map { .upsert($0) })
        return state
    }

    private func ask(
        _ state: ClusterState, client: String = "shop/client", port: Port = 80
    ) throws -> ServiceTrace {
        let address = try #require(IPAddress("10.96.0.1"))
        return try state.trace(ServiceQuestion(client: client, address: address, port: port, ipProtocol: .tcp))
    }

    private func text(_ trace: ServiceTrace) -> [String] {
        trace.endpoints.map { "\($0.address) \($0.exclusion?.rawValue ?? "serves")\($0.isClient ? " itself" : "")" }
    }

    @Test func everyEndpointOfTheFamilyHasItsReason() throws {
        let trace = try ask(try state())
        #expect(trace.choice == .sameZone && trace.zone == "north" && trace.affinitySeconds == 10800)
        #expect(trace.service == "shop/web:http" && trace.frontend == "TCP 10.96.0.1:80")
        #expect(
            text(trace) == [
                "10.1.0.1 serves itself", "10.1.0.2 hinted_for_other_zones", "10.1.0.3 not_ready",
                "10.1.0.4 terminating", "10.1.0.5 no_such_port",
            ])
    }

    @Test func trafficThatStaysOnTheNodeLeavesOthersOut() throws {
        let local = try state { $0.replacing("sessionAffinity: ClientIP", with: "internalTrafficPolicy: Local") }
        let trace = try ask(local)
        #expect(trace.staysOnNode && trace.choice == .ready && trace.affinitySeconds == nil)
        #expect(text(trace).contains("10.1.0.2 other_node") && trace.serving.map(\.address) == ["10.1.0.1"])
    }

    @Test func withoutAReadyEndpointThoseThatTerminateServe() throws {
        let trace = try ask(try state { $0.replacing(", hints:", with: ", conditions: {ready: false}, hints:") })
        #expect(trace.choice == .terminating && trace.serving.map(\.address) == ["10.1.0.4"])
    }

    @Test func aClientOutsideGetsWhatItsPoliciesLeave() throws {
        let exposed = try state {
            $0.replacing(
                "sessionAffinity: ClientIP",
                with: """
                    type: LoadBalancer
                      externalTrafficPolicy: Local
                      loadBalancerSourceRanges: [198.51.100.0/24]
                    status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}
                    """)
        }
        let balancer = try #require(IPAddress("203.0.113.1"))
        for (client, isAdmitted) in [("198.51.100.7", true), ("192.0.2.7", false)] {
            let trace = try exposed.trace(
                ServiceQuestion(client: client, address: balancer, port: 80, ipProtocol: .tcp))
            #expect(trace.isFromOutside && trace.staysOnNode && trace.kind == .loadBalancer)
            #expect(trace.isAdmitted == isAdmitted && trace.sourceRanges == ["198.51.100.0/24"])
            #expect(trace.serving.map(\.address) == (isAdmitted ? ["10.1.0.1"] : []))
            #expect(text(trace).contains("10.1.0.2 other_node"))
        }
    }

    @Test func aClientOutsideIsServedAtAClusterIPUnlessItIsLeftToTheHost() throws {
        let local = { (text: String) in
            text.replacing("sessionAffinity: ClientIP", with: "internalTrafficPolicy: Local")
        }
        let trace = try ask(try state(local), client: "198.51.100.7")
        #expect(trace.isFromOutside && trace.staysOnNode && trace.kind == .clusterIP)
        #expect(trace.serving.map(\.address) == ["10.1.0.1"])
        let closed = try state(servesClusterIPsOutside: false, local)
        let refusal = try #require(throws: AgentError.self) { try ask(closed, client: "198.51.100.7") }
        #expect(refusal.message.contains("is a ClusterIP") && refusal.message.contains("--cluster-ip-from-outside off"))
    }

    @Test func anAddressOfTheNodeStandsForItsProcesses() throws {
        let limited = try state {
            $0.replacing(
                "sessionAffinity: ClientIP",
                with: """
                    type: LoadBalancer
                      externalTrafficPolicy: Local
                      loadBalancerSourceRanges: [192.0.2.0/24]
                    status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}
                    """)
        }
        var state = limited
        let (own, other) = (try #require(IPAddress("172.18.0.2")), try #require(IPAddress("192.0.2.2")))
        _ = state.setLocalAddresses([own, other, try #require(IPAddress("127.0.0.1"))])
        for client in ["172.18.0.2", "127.0.0.1"] {
            let trace = try ask(state, client: client)
            #expect(trace.client == "this node" && !trace.isFromOutside && trace.isAdmitted)
            #expect(trace.choice == .sameZone && trace.serving.map(\.address) == ["10.1.0.1"])
        }
        // Who may connect is told by what the node sends from, not by the address that was named.
        let balancer = try #require(IPAddress("203.0.113.1"))
        for (source, isAdmitted) in [(own, false), (other, true)] {
            _ = state.setSourceAddresses([source])
            let trace = try state.trace(
                ServiceQuestion(client: "172.18.0.2", address: balancer, port: 80, ipProtocol: .tcp))
            #expect(trace.kind == .loadBalancer && !trace.staysOnNode && trace.isAdmitted == isAdmitted)
        }
        // An address that the node has no more is one outside.
        _ = state.setLocalAddresses([other])
        #expect(try ask(state, client: "172.18.0.2").isFromOutside)
    }

    @Test func whatIsNotThereIsNamed() throws {
        let state = try state()
        let unknownPod = try #require(throws: AgentError.self) { try ask(state, client: "shop/nobody") }
        #expect(unknownPod.code == .notFound && unknownPod.message.contains("shop/nobody"))
        let unknownPort = try #require(throws: AgentError.self) { try ask(state, port: 81) }
        #expect(unknownPort.code == .notFound && unknownPort.message.contains("10.96.0.1 has TCP 80"))
    }
}
