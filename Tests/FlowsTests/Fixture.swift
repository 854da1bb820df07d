import Addressing
import Flows

/// Values that many tests start from.
enum Sample {
    /// 2026-03-01T10:31:02.123456789Z.
    static let time: UInt64 = 1_772_361_062_123_456_789

    static func address(_ text: String) -> IPAddress { IPAddress(text) ?? .unspecifiedIPv6 }

    static func end(_ text: String, _ port: Port) -> SocketAddress { SocketAddress(address(text), port) }

    /// A bare connection as the data path tells it.
    static func flow(
        _ kind: Flow.Kind = .opened, from source: String = "10.244.0.1", to destination: String = "10.244.0.2",
        port: Port = 8080, ipProtocol: IPProtocol = .tcp
    ) -> Flow {
        let tuple = FlowTuple(
            source: end(source, ipProtocol.hasPorts ? 53412 : 0), destination: end(destination, port),
            ipProtocol: ipProtocol)
        return Flow(
            time: time, kind: kind, verdict: kind == .denied ? .dropped : .forwarded, direction: .egress, tuple: tuple,
            node: "node-a")
    }

    /// A shop of two pods, a Service and a node.
    static var directory: PeerDirectory {
        var directory = PeerDirectory()
        directory.upsert(
            PodPeer(
                namespace: "shop", name: "frontend-1", addresses: [address("10.244.0.1"), address("fd00::1")],
                labels: ["app": "frontend"], workload: Peer.Workload(kind: "Deployment", name: "frontend")))
        directory.upsert(PodPeer(namespace: "shop", name: "cart-2", addresses: [address("10.244.0.2")]))
        directory.upsert(
            ServicePeer(
                namespace: "shop", name: "cart", addresses: [address("10.96.0.10")],
                ports: [
                    ServicePeer.Port(name: "http", port: 80, ipProtocol: .tcp),
                    ServicePeer.Port(name: "", port: 81, ipProtocol: .tcp),
                ]))
        directory.upsertNode(named: "node-a", addresses: [address("192.0.2.1")])
        return directory
    }

    /// The connection with names, Service and rules.
    static var enriched: Flow {
        var flow = flow()
        flow.service = FlowService(frontend: end("10.96.0.10", 80))
        flow.egressRule = RuleReference("NetworkPolicy/shop/frontend-out/egress/2")
        flow.ingressRule = RuleReference("NetworkPolicy/shop/cart-allow/ingress/0")
        directory.enrich(&flow)
        return flow
    }
}
