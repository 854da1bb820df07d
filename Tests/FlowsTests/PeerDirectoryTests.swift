import Addressing
import Flows
import Testing

@Suite struct PeerDirectoryLookups {
    @Test func flowsGetTheNamesOfBothEndsAndOfTheService() {
        let flow = Sample.enriched
        #expect(flow.source.namespace == "shop" && flow.source.name == "frontend-1")
        #expect(flow.source.workload == Peer.Workload(kind: "Deployment", name: "frontend"))
        #expect(flow.source.labels == ["app": "frontend"] && flow.source.address == Sample.address("10.244.0.1"))
        #expect(flow.destination.description == "shop/cart-2")
        #expect(flow.service?.name == "cart" && flow.service?.portName == "http")
    }

    @Test func strangersNodesAndServicesAreToldApart() {
        let directory = Sample.directory
        #expect(directory.peer(at: Sample.address("203.0.113.9")).kind == .world)
        #expect(directory.peer(at: Sample.address("192.0.2.1")).kind == .node)
        #expect(directory.peer(at: Sample.address("10.96.0.10")).kind == .service)
    }

    /// A port that is asked for, and its name.
    static let ports: [(port: Port, ipProtocol: IPProtocol, name: String?)] = [
        (82, .tcp, nil), (81, .tcp, nil), (80, .udp, nil), (80, .tcp, "http"),
    ]

    @Test(arguments: ports)
    func aServicePortHasANameOnlyWithItsProtocol(port: Port, ipProtocol: IPProtocol, name: String?) {
        var flow = Sample.flow(ipProtocol: ipProtocol)
        flow.service = FlowService(frontend: Sample.end("10.96.0.10", port))
        Sample.directory.enrich(&flow)
        #expect(flow.service?.name == "cart" && flow.service?.portName == name)
    }

    @Test(arguments: [false, true])
    func aRunningPodWinsOverAFinishedOne(finishedComesLast: Bool) {
        let address = Sample.address("10.244.0.7")
        let finished = PodPeer(namespace: "shop", name: "a-job", addresses: [address], isFinished: true)
        let running = PodPeer(namespace: "shop", name: "web", addresses: [address])
        var directory = PeerDirectory()
        for pod in finishedComesLast ? [running, finished] : [finished, running] { directory.upsert(pod) }
        #expect(directory.peer(at: address).name == "web")
        directory.remove(PeerOwner(kind: .pod, namespace: "shop", name: "web"))
        #expect(directory.peer(at: address).name == "a-job")
        directory.remove(PeerOwner(kind: .pod, namespace: "shop", name: "a-job"))
        #expect(directory.peer(at: address).kind == .world)
    }

    @Test func aPodThatFinishesGivesWay() {
        let address = Sample.address("10.244.0.7")
        var directory = PeerDirectory()
        var first = PodPeer(namespace: "shop", name: "a", addresses: [address])
        directory.upsert(first)
        directory.upsert(PodPeer(namespace: "shop", name: "b", addresses: [address]))
        #expect(directory.peer(at: address).name == "a")
        first.isFinished = true
        directory.upsert(first)
        #expect(directory.peer(at: address).name == "b")
    }

    @Test func hostNetworkPodsLeaveTheAddressToTheNode() {
        var directory = Sample.directory
        let address = Sample.address("192.0.2.1")
        directory.upsert(PodPeer(namespace: "kube-system", name: "proxy", addresses: [address], usesHostNetwork: true))
        #expect(directory.peer(at: address).kind == .node)
    }

    @Test func aChangedAddressLeavesNothingBehind() {
        var directory = Sample.directory
        directory.upsert(PodPeer(namespace: "shop", name: "cart-2", addresses: [Sample.address("10.244.0.3")]))
        #expect(directory.peer(at: Sample.address("10.244.0.2")).kind == .world)
        #expect(directory.peer(at: Sample.address("10.244.0.3")).name == "cart-2")
    }

    @Test func aServiceIsNamedByItsNodePortsAndAtAddressesThatItShares() {
        var directory = PeerDirectory()
        let shared = Sample.address("203.0.113.1")
        for (name, port, nodePort) in [("a", UInt16(80), UInt16(30080)), ("b", 443, 30443)] {
            directory.upsert(
                ServicePeer(
                    namespace: "shop", name: name, addresses: [shared],
                    ports: [ServicePeer.Port(name: "http", port: port, ipProtocol: .tcp, nodePort: nodePort)]))
        }
        func name(_ end: IPAddress, _ port: UInt16, _ ipProtocol: IPProtocol = .tcp) -> String? {
            var flow = Sample.flow()
            flow.tuple.ipProtocol = ipProtocol
            flow.service = FlowService(frontend: SocketAddress(end, port))
            directory.enrich(&flow)
            return flow.service?.name
        }
        #expect(name(shared, 80) == "a" && name(shared, 443) == "b")
        #expect(name(Sample.address("10.0.0.1"), 30080) == "a" && name(Sample.address("10.0.0.2"), 30443) == "b")
        #expect(name(Sample.address("10.0.0.1"), 30080, .udp) == nil)
        directory.remove(PeerOwner(kind: .service, namespace: "shop", name: "a"))
        #expect(name(Sample.address("10.0.0.1"), 30080) == nil && name(Sample.address("10.0.0.1"), 30443) == "b")
    }
}
