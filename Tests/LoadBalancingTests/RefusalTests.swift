import Addressing
import LoadBalancing
import Testing

@Suite("Ports of a Service's address that no Service has")
struct RefusalTests {
    private var balancer = LoadBalancer(node: "node-a")

    private mutating func apply(_ line: String) throws { _ = balancer.apply(try Script(line).commands.map(\.input)) }

    private var refused: [String: FrontendKind] {
        Dictionary(uniqueKeysWithValues: balancer.refusals.map { ("\($0.key.address)", $0.value.kind) })
    }

    @Test(
        "They are refused at ClusterIPs and load balancers' addresses, not at external ones, which others may have, too"
    )
    mutating func virtualAddresses() throws {
        try apply("addresses 10.0.0.1")
        try apply(
            "service shop/web type=LoadBalancer ips=10.96.0.10 external=192.0.2.7 balancer=203.0.113.1 ports=http:TCP:80:30080"
        )
        #expect(refused == ["10.96.0.10": .clusterIP, "203.0.113.1": .loadBalancer])
        #expect(balancer.refusals.values.allSatisfy { $0.backends.isEmpty && $0.outside.isEmpty })
        #expect(balancer.problems.isEmpty)
    }

    @Test("An address that is a node's, too, keeps its other ports")
    mutating func nodes() throws {
        try apply("service shop/web type=LoadBalancer ips=10.96.0.10 balancer=192.0.2.7 ports=http:TCP:80")
        try apply("nodes 192.0.2.7 192.0.2.8")
        #expect(refused == ["10.96.0.10": .clusterIP])
        try apply("nodes 192.0.2.8")
        #expect(refused == ["10.96.0.10": .clusterIP, "192.0.2.7": .loadBalancer])
    }

    @Test("Those of ClusterIPs are refused to clients outside, too, unless such clients are left to the host")
    func clientsOutside() throws {
        let line = "service shop/web type=LoadBalancer ips=10.96.0.10 balancer=203.0.113.1 ports=http:TCP:80"
        for isServed in [true, false] {
            var balancer = LoadBalancer(node: "node-a", servesClusterIPsOutside: isServed)
            _ = balancer.apply(try Script(line).commands.map(\.input))
            let forOutside = balancer.refusals.filter(\.value.isForOutside).map { "\($0.key.address)" }
            #expect(forOutside.sorted() == (isServed ? ["10.96.0.10", "203.0.113.1"] : ["203.0.113.1"]))
        }
    }

    @Test("An address of several Services is so until the last is gone")
    mutating func shared() throws {
        try apply("service shop/a type=LoadBalancer ips=10.96.0.10 balancer=192.0.2.7 ports=http:TCP:80")
        try apply("service shop/b type=LoadBalancer ips=10.96.0.11 balancer=192.0.2.7 ports=http:TCP:81")
        #expect(balancer.problems.isEmpty)
        for (gone, remain) in [("a", ["10.96.0.11", "192.0.2.7"]), ("b", [])] {
            try apply("delete service shop/\(gone)")
            #expect(refused.keys.sorted() == remain.sorted())
        }
    }
}
