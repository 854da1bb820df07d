import Addressing
import Flows
import HubbleAPI
import HubbleFlows
import SwiftProtobuf
import TestSupport

/// Flows that the tests filter, by what they are.
enum Sample {
    static let time: UInt64 = 1_772_361_062_123_456_789
    static let encoder = FlowEncoder(node: "node-a", version: "1.2.3", epoch: time)

    static let front = Peer(
        address: ip("10.1.0.1"), kind: .pod, namespace: "shop", name: "front-1",
        labels: ["app": "front", "tier": "web"], workload: .init(kind: "Deployment", name: "front"), node: "node-a")
    static let cart = Peer(
        address: ip("10.1.0.2"), kind: .pod, namespace: "shop", name: "cart-7", labels: ["app": "cart"],
        workload: .init(kind: "StatefulSet", name: "cart"), node: "node-a")
    static let dns = Peer(
        address: ip("fd00::53"), kind: .pod, namespace: "kube-system", name: "coredns-1",
        labels: ["k8s-app": "kube-dns"], node: "node-b")
    static let node = Peer(address: ip("192.0.2.1"), kind: .node, name: "node-a")
    static let world = Peer(address: ip("198.51.100.7"))

    static func flow(
        _ kind: Flow.Kind, _ source: Peer, _ destination: Peer, _ ipProtocol: IPProtocol = .tcp, port: Port = 80,
        _ change: (inout Flow) -> Void = { _ in }
    ) -> Flow {
        let tuple = FlowTuple(
            source: SocketAddress(source.address, ipProtocol.hasPorts ? 40000 : 0),
            destination: SocketAddress(destination.address, ipProtocol.hasPorts ? port : 0), ipProtocol: ipProtocol)
        var flow = Flow(
            time: time, kind: kind, verdict: kind == .denied ? .dropped : kind == .audited ? .audit : .forwarded,
            direction: .egress, tuple: tuple, node: "node-a")
        (flow.source, flow.destination) = (source, destination)
        change(&flow)
        return flow
    }

    /// One of each kind, in an order that the tables refer to.
    static let flows: [Flow] = [
        flow(.opened, front, cart) {
            $0.service = FlowService(
                frontend: SocketAddress(ip("10.96.0.1"), 80), namespace: "shop", name: "cart", portName: "http")
            $0.egressRule = RuleReference("NetworkPolicy/shop/front-out/egress/2")
            $0.ingressRule = RuleReference("ClusterNetworkPolicy//guard/ingress/0/allow")
            $0.tcpFlags = .syn
        },
        flow(.denied, world, cart, .udp, port: 53) {
            $0.direction = .ingress
            $0.dropReason = "policy_isolated"
            $0.ingressRule = RuleReference("NetworkPolicy/shop/default-deny/ingress/isolation")
            $0.count = 3
        },
        flow(.closed, front, world, port: 443) {
            $0.destinationNames = ["www.example.com", "example.com"]
            $0.tcpFlags = [.syn, .ack, .fin]
            $0.counters = FlowCounters(forward: .init(packets: 5, bytes: 600), reverse: .init(packets: 4, bytes: 900))
        },
        flow(.dns, front, dns, .udp, port: 53) {
            $0.dns = DNSAnswer(
                query: "www.example.com", type: 1, code: 0, addresses: [ip("198.51.100.7")], lifetime: 30,
                latency: 250_000)
        },
        flow(.audited, node, cart, .icmp) {
            $0.direction = .ingress
            $0.icmp = ICMPMessage(type: 8, code: 0)
            $0.ingressRule = RuleReference("NetworkPolicy/shop/default-deny/ingress/isolation")
            $0.dropReason = "policy_isolated"
        },
        flow(.active, cart, front, .sctp, port: 9000),
    ]

    /// A packet of a connection that a policy admitted, on one of its ways.
    static func packet(_ way: WritableKeyPath<FlowCounters, FlowCounters.Way>) -> Flow {
        flow(.packet, front, cart) {
            var counters = FlowCounters()
            counters[keyPath: way] = .init(packets: 1, bytes: 60)
            $0.counters = counters
            $0.egressRule = RuleReference("NetworkPolicy/shop/front-out/egress/2")
        }
    }

    static func message(_ index: Int) -> HubbleFlow { encoder.encode(flows[index]) }
}
