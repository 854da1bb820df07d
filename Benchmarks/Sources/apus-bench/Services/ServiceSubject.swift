import Addressing

/// What leads connections to the endpoints of Services.
enum ServiceSubject: String, Sendable, CaseIterable {
    /// No node at all: client and endpoint elsewhere are on one link.
    case direct
    /// No Services: the node routes to the endpoint's own address, and that is all.
    case kernel
    /// The rules that kube-proxy writes in its iptables mode.
    case iptables
    /// … in its nftables mode.
    case nftables
    /// Apus, with policy and flow events, packet by packet at the uplink's tcx hooks.
    case apus
    /// … with what only crosses the node sent through the host's stack.
    case apusStack = "apus-stack"
    /// Apus with its XDP program in generic mode, after the kernel has made a socket buffer.
    case apusGeneric = "apus-xdp-generic"
    /// … in native mode, in the driver.
    case apusNative = "apus-xdp-native"

    var explanation: String {
        switch self {
        case .direct: "no node between client and endpoint"
        case .kernel: "a node that routes to the endpoint's own address"
        case .iptables: "kube-proxy's iptables rules"
        case .nftables: "kube-proxy's nftables rules"
        case .apus: "Apus with policy and flow events, at tc"
        case .apusStack: "as apus, but what crosses the node goes through its stack"
        case .apusGeneric: "as apus, with generic XDP"
        case .apusNative: "as apus, with native XDP"
        }
    }

    var isApus: Bool { !options.isEmpty }
    var hasServices: Bool { self != .direct && self != .kernel }
    /// What its agent is told; empty where there is none.
    var options: [String] {
        switch self {
        case .direct, .kernel, .iptables, .nftables: []
        case .apus: ["--xdp", "off"]
        case .apusStack: ["--xdp", "off", "--redirect-uplink", "off"]
        case .apusGeneric: ["--xdp", "generic"]
        case .apusNative: ["--xdp", "native"]
        }
    }

    /// What is measured of it. XDP and the stack are about what leaves by the interface that it came in by.
    var metrics: [ServiceMetric] {
        switch self {
        case .direct: [.forwarding]
        case .kernel, .iptables, .nftables, .apus: ServiceMetric.all
        case .apusStack, .apusGeneric, .apusNative:
            [.connections(.nodePortElsewhere), .latency(.nodePortElsewhere), .forwarding, .nodeForwarding]
        }
    }

    /// The numbers of Services that it is measured with, of those that are wanted.
    func sizes(of wanted: [Int]) -> [Int] {
        switch self {
        case .direct, .kernel: [0]
        case .iptables, .nftables, .apus: wanted
        case .apusStack, .apusGeneric, .apusNative: [ServiceCount.few]
        }
    }
}

/// A subject with a number of Services.
struct ServicePeerKind: Sendable, Hashable {
    var subject: ServiceSubject
    var services: Int

    var name: String { subject.hasServices ? "\(subject.rawValue)-\(services)" : subject.rawValue }

    static let sizes = [1, ServiceCount.few, 1_000, ServiceCount.many]
}

/// How a client gets to an endpoint of the measured Service. Each way has ports of its own: connections to one port
/// on two ways would meet the other's leftovers.
enum ServicePath: Sendable, CaseIterable {
    case clusterIP
    case nodePort
    case nodePortElsewhere

    var title: String {
        switch self {
        case .clusterIP: "pod to ClusterIP"
        case .nodePort: "outside to NodePort, pod of the node"
        case .nodePortElsewhere: "outside to NodePort, pod elsewhere"
        }
    }

    /// The endpoint's port, and the Service's.
    var port: Port {
        switch self {
        case .clusterIP: Destination.clusterIP.port
        case .nodePort: 7003
        case .nodePortElsewhere: 7004
        }
    }

    var nodePort: Port? {
        switch self {
        case .clusterIP: nil
        case .nodePort: 30_003
        case .nodePortElsewhere: 30_004
        }
    }
}

/// One thing that is measured.
enum ServiceMetric: Sendable, Hashable {
    /// Connections one after the other: connect, a byte there and back, reset.
    case connections(ServicePath)
    /// How long the slowest hundredth of them takes until the byte is back.
    case latency(ServicePath)
    /// Datagrams of one flow that get to a pod elsewhere, sent, forwarded and received by one core.
    case forwarding
    /// The same without what sending and receiving take.
    case nodeForwarding

    static let all =
        ServicePath.allCases.map(connections) + ServicePath.allCases.map(latency) + [.forwarding, .nodeForwarding]

    var title: String {
        switch self {
        case .connections(let path): "connections, \(path.title)"
        case .latency(let path): "p99 latency, \(path.title)"
        case .forwarding: "datagrams sent, forwarded and received, \(ServicePath.nodePortElsewhere.title)"
        case .nodeForwarding: "datagrams forwarded alone, \(ServicePath.nodePortElsewhere.title)"
        }
    }

    var unit: String { isRate ? "1/s" : "µs" }
    /// Whether more is better.
    var isRate: Bool { if case .latency = self { false } else { true } }

    /// The name of its figure.
    func name(_ kind: ServicePeerKind) -> String { "\(title), \(kind.name)" }
}
