import Addressing
import NodeRouting

func ip(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
    return address
}

func cidr(_ text: String) -> CIDR {
    guard let block = CIDR(text) else { preconditionFailure("\(text) is no block") }
    return block
}

/// A cluster in which the node of number N has 192.0.2.N, 2001:db8::N and a range of each family.
enum Cluster {
    static let own = "node-1"
    /// The number of the interface that leads to the others.
    static let uplink: UInt32 = 2
    static let overlay: UInt32 = 9

    static func node(_ number: Int, name: String? = nil) -> RoutedNode {
        RoutedNode(
            name ?? "node-\(number)", addresses: [ip("192.0.2.\(number)"), ip("2001:db8::\(number)")],
            ranges: [cidr("10.244.\(number).0/24"), cidr("fd00:10:244:\(number)::/64")])
    }

    static func network(mtu: UInt32 = 1500) -> LocalNetwork {
        LocalNetwork(links: [
            LocalNetwork.Link(index: uplink, address: ip("192.0.2.1"), prefix: cidr("192.0.2.0/24"), mtu: mtu),
            LocalNetwork.Link(index: uplink, address: ip("2001:db8::1"), prefix: cidr("2001:db8::/64"), mtu: mtu),
        ])
    }

    /// A plan of this node among others.
    static func plan(
        _ mode: RoutingMode, _ nodes: [RoutedNode], network: LocalNetwork = network(), own: RoutedNode = node(1)
    ) -> RoutingPlan {
        var plan = RoutingPlan(mode, node: Cluster.own)
        _ = plan.setNetwork(network)
        _ = plan.upsert(own)
        if plan.device != nil { _ = plan.setOverlay(index: overlay) }
        for node in nodes { _ = plan.upsert(node) }
        return plan
    }
}

extension RoutingPlan {
    /// Its entries as lines, in order.
    var text: [String] { entries.sorted { $0.key < $1.key }.map { "\($0.value)" } }
    var complaints: [String] { problems.map { "\($0.node) \($0.field): \($0.message)" } }
}
