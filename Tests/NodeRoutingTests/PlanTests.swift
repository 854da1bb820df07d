import Addressing
import NodeRouting
import Testing

@Suite struct Plans {
    @Test func nativeAsksForNothing() {
        let plan = Cluster.plan(.native, [Cluster.node(2)])
        #expect(plan.text == [] && plan.complaints == [] && plan.device == nil)
    }

    @Test func directRoutesLeadToTheNodesOfEachFamily() {
        let plan = Cluster.plan(.direct, [Cluster.node(2), Cluster.node(3)])
        #expect(
            plan.text == [
                "route 10.244.2.0/24 via 192.0.2.2 interface 2", "route 10.244.3.0/24 via 192.0.2.3 interface 2",
                "route fd00:10:244:2::/64 via 2001:db8::2 interface 2",
                "route fd00:10:244:3::/64 via 2001:db8::3 interface 2",
            ])
        #expect(plan.complaints == [] && plan.links == [2] && plan.routedCount == 2)
    }

    @Test func theOverlayKnowsWhichNodeHasWhichHardwareAddress() {
        let plan = Cluster.plan(.vxlan, [Cluster.node(2)])
        #expect(
            plan.text == [
                "forwarding 02:61:c0:00:02:02 to 192.0.2.2 interface 9",
                "neighbour 10.244.2.0 at 02:61:c0:00:02:02 interface 9",
                "neighbour fd00:10:244:2:: at 02:61:c0:00:02:02 interface 9",
                "route 10.244.2.0/24 via 10.244.2.0 interface 9",
                "route fd00:10:244:2::/64 via fd00:10:244:2:: interface 9",
            ])
        let device = plan.device
        #expect(device?.local == ip("192.0.2.1") && device?.mtu == 1450)
        #expect(device?.hardware == MACAddress("02:61:c0:00:02:01"))
        #expect(device?.addresses == [ip("10.244.1.0"), ip("fd00:10:244:1::")])
        #expect(plan.links == [])
    }

    @Test func underIPv6TheOverlayTakesMore() {
        var own = Cluster.node(1)
        own.addresses.reverse()
        let plan = Cluster.plan(.vxlan, [Cluster.node(2)], network: Cluster.network(mtu: 9000), own: own)
        #expect(plan.device?.mtu == 8930 && plan.device?.local == ip("2001:db8::1"))
        let hardware = OverlayDevice.hardware(of: ip("2001:db8::2"))
        #expect(hardware.bytes[0] == 6, "unicast, and locally administered")
        #expect(plan.text.first == "forwarding \(hardware) to 2001:db8::2 interface 9")
    }

    @Test func aSmallerLinkToANodeIsInItsRoutes() {
        let links =
            Cluster.network().links + [
                LocalNetwork.Link(index: 5, address: ip("198.51.100.1"), prefix: cidr("198.51.100.0/24"), mtu: 1400)
            ]
        let node = RoutedNode("node-2", addresses: [ip("198.51.100.2")], ranges: [cidr("10.244.2.0/24")])
        let plan = Cluster.plan(.vxlan, [node], network: LocalNetwork(links: links))
        #expect(plan.text.last == "route 10.244.2.0/24 via 10.244.2.0 interface 9 mtu 1350")
    }

    @Test(arguments: [
        (
            RoutingMode.direct, RoutedNode("node-2", addresses: [ip("203.0.113.2")], ranges: [cidr("10.244.2.0/24")]),
            "node-2 status.addresses: 203.0.113.2 is on no link of this node: it takes a router that knows 10.244.2.0/24"
        ),
        (
            .direct, RoutedNode("node-2", addresses: [ip("192.0.2.2")], ranges: [cidr("fd00::/64")]),
            "node-2 status.addresses: has no InternalIP of IPv6"
        ),
        (
            .vxlan, RoutedNode("node-2", addresses: [ip("2001:db8::2")], ranges: [cidr("10.244.2.0/24")]),
            "node-2 status.addresses: has no InternalIP of IPv4"
        ),
        (
            .vxlan, RoutedNode("node-2", addresses: [ip("192.0.2.1")], ranges: [cidr("10.244.2.0/24")]),
            "node-2 status.addresses: 192.0.2.1 is an address of this node"
        ),
        (
            .direct, RoutedNode("node-2", addresses: [ip("192.0.2.2")], ranges: [cidr("10.244.1.128/25")]),
            "node-2 spec.podCIDRs: 10.244.1.128/25 overlaps with 10.244.1.0/24, which is this node's"
        ),
        (
            .vxlan, RoutedNode("node-2", addresses: [ip("192.0.2.2")], ranges: [cidr("192.0.0.0/16")]),
            "node-2 spec.podCIDRs: 192.0.0.0/16 has 192.0.2.1, an address of this node, in it"
        ),
    ])
    func whatCannotBeRoutedIsNamedAndLeftOut(mode: RoutingMode, node: RoutedNode, complaint: String) {
        let plan = Cluster.plan(mode, [node])
        #expect(plan.text == [] && plan.complaints == [complaint])
        #expect(plan.routedCount == 0 && plan.nodeCount == 1)
    }

    @Test func aNodeWithOneBadRangeKeepsTheOther() {
        var node = Cluster.node(2)
        node.ranges[0] = cidr("10.244.1.0/24")
        let plan = Cluster.plan(.direct, [node])
        #expect(plan.text == ["route fd00:10:244:2::/64 via 2001:db8::2 interface 2"])
        #expect(plan.complaints.count == 1)
    }

    @Test(arguments: [RoutingMode.direct, .vxlan])
    func ofTwoNodesWithOneRangeTheFirstByNameHasIt(mode: RoutingMode) {
        var late = Cluster.node(3, name: "node-z")
        late.ranges = [cidr("10.244.2.0/24")]
        var early = Cluster.node(2)
        early.ranges = [cidr("10.244.2.0/24")]
        for nodes in [[late, early], [early, late]] {
            var plan = Cluster.plan(mode, nodes)
            #expect(plan.text.contains { $0.contains("192.0.2.2") || $0.contains("02:61:c0:00:02:02") })
            #expect(plan.complaints.count == 1 && plan.complaints[0].hasPrefix("node-z spec.podCIDRs: "))
            _ = plan.remove("node-2")
            #expect(plan.complaints == [])
            #expect(plan.entries == Cluster.plan(mode, [late]).entries)
        }
    }

    @Test(arguments: [
        (RoutedNode("node-1", addresses: [], ranges: [cidr("10.244.1.0/24")]), "status.addresses"),
        (RoutedNode("node-1", addresses: [ip("203.0.113.1")], ranges: [cidr("10.244.1.0/24")]), "status.addresses"),
        (RoutedNode("node-1", addresses: [ip("192.0.2.1")], ranges: []), "spec.podCIDRs"),
    ])
    func withoutADeviceNothingIsOverlaid(own: RoutedNode, field: String) {
        let plan = Cluster.plan(.vxlan, [Cluster.node(2)], own: own)
        #expect(plan.device == nil && plan.text == [])
        #expect(plan.problems.map(\.field) == [field] && plan.problems.map(\.node) == ["node-1"])
    }

    @Test func oneNodesChangeTouchesWhatIsItsOwn() {
        var plan = Cluster.plan(.vxlan, (2...50).map { Cluster.node($0) })
        var node = Cluster.node(7)
        #expect(plan.upsert(node) == [])
        node.addresses[0] = ip("192.0.2.77")
        let touched = plan.upsert(node)
        #expect(
            touched == [
                .forwarding(OverlayDevice.hardware(of: ip("192.0.2.7"))),
                .forwarding(OverlayDevice.hardware(of: ip("192.0.2.77"))), .neighbour(ip("10.244.7.0")),
                .neighbour(ip("fd00:10:244:7::")), .route(cidr("10.244.7.0/24")), .route(cidr("fd00:10:244:7::/64")),
            ])
        #expect(plan.remove("node-7").count == 5)
        #expect(plan.remove("node-7") == [])
    }
}
