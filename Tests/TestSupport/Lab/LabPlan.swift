public import Addressing

/// What a lab consists of. Names are unique in a lab and made of lower-case letters, digits and dashes.
public struct LabPlan: Sendable {
    /// The nodes, each with its pods.
    public var nodes: [NodePlan]
    /// Hosts outside the cluster, on the same fabric as the nodes.
    public var outside: [HostPlan]
    /// Hosts in pairs joined by one bare veth, without a node, fabric or route: what a bench compares with.
    public var pairs: [PairPlan]
    /// Whether the network between the nodes, and all hosts on it, know the way to each node's pods.
    public var routesPods: Bool

    public init(nodes: [NodePlan] = [], outside: [HostPlan] = [], pairs: [PairPlan] = [], routesPods: Bool = true) {
        self.nodes = nodes
        self.outside = outside
        self.pairs = pairs
        self.routesPods = routesPods
    }

    /// One node, `node-a`, with pods numbered from 10.244.1.10 and fd00:10:244:1::a, and one outside host, `outside`.
    public static func oneNode(pods: [String]) -> LabPlan {
        LabPlan(nodes: [NodePlan("node-a", number: 1, pods: pods)], outside: [HostPlan("outside", number: 1)])
    }

    /// The addresses of the fabric, where nodes and outside hosts have their uplinks.
    static let fabricRanges = [cidr("172.31.0.0/24"), cidr("fd00:172:31::/64")]
    /// The fabric's own addresses: the default router of every node and outside host.
    static let fabricRouters = [ip("172.31.0.1"), ip("fd00:172:31::1")]
}

/// A node: a network namespace that routes between its uplink and its pods.
public struct NodePlan: Sendable {
    /// The node's name, as in the Node object.
    public var name: String
    /// The addresses of its uplink, in the fabric's ranges.
    public var addresses: [IPAddress]
    /// The ranges its pods' addresses come from; the fabric routes them to the node.
    public var podRanges: [CIDR]
    /// The pods it starts with.
    public var pods: [PodPlan]

    public init(_ name: String, addresses: [IPAddress], podRanges: [CIDR], pods: [PodPlan]) {
        self.name = name
        self.addresses = addresses
        self.podRanges = podRanges
        self.pods = pods
    }

    /// The node of a number (1…99): 172.31.0.(10 + number), 10.244.(number).0/24, and the same in IPv6.
    public init(_ name: String, number: Int, pods: [String] = []) {
        self.init(
            name,
            addresses: [
                ip("172.31.0.\(10 + number)"), ip("fd00:172:31::\(10 + number)"),
            ],
            podRanges: [cidr("10.244.\(number).0/24"), cidr("fd00:10:244:\(number)::/64")],
            pods: pods.enumerated().map { index, pod in
                PodPlan(
                    pod,
                    addresses: [
                        ip("10.244.\(number).\(10 + index)"),
                        IPAddress(high: 0xfd00_0010_0244_0000 | UInt64(number), low: UInt64(10 + index)),
                    ])
            })
    }
}

/// A pod: a network namespace behind a veth pair whose other end is in its node.
public struct PodPlan: Sendable {
    /// The pod's name in the lab.
    public var name: String
    /// Its addresses, at most one of each family; the node has a host route to each.
    public var addresses: [IPAddress]

    public init(_ name: String, addresses: [IPAddress]) {
        self.name = name
        self.addresses = addresses
    }
}

/// A host outside the cluster.
public struct HostPlan: Sendable {
    /// The host's name in the lab.
    public var name: String
    /// The addresses of its uplink, in the fabric's ranges.
    public var addresses: [IPAddress]
    /// More addresses, of any range, that the fabric routes to it: the Internet of a test.
    public var moreAddresses: [IPAddress]

    public init(_ name: String, addresses: [IPAddress], moreAddresses: [IPAddress] = []) {
        self.name = name
        self.addresses = addresses
        self.moreAddresses = moreAddresses
    }

    /// The outside host of a number (1…99): 172.31.0.(100 + number), and the same in IPv6.
    public init(_ name: String, number: Int, moreAddresses: [IPAddress] = []) {
        self.init(
            name,
            addresses: [
                ip("172.31.0.\(100 + number)"), ip("fd00:172:31::\(100 + number)"),
            ], moreAddresses: moreAddresses)
    }
}

/// Two hosts with one veth between them.
public struct PairPlan: Sendable {
    /// The names of the two hosts.
    public var names: (left: String, right: String)
    /// The addresses of the left host and, each next to it, of the right one.
    public var addresses: (left: [IPAddress], right: [IPAddress])

    /// A pair of a number (1…99): 192.168.(number).1 and .2, fd00:192:168:(number)::1 and ::2.
    public init(_ left: String, _ right: String, number: Int) {
        names = (left, right)
        func end(_ last: Int) -> [IPAddress] {
            [ip("192.168.\(number).\(last)"), ip("fd00:192:168:\(number)::\(last)")]
        }
        addresses = (end(1), end(2))
    }
}
