/// The networks that are compared.
enum PeerKind: String, Sendable, CaseIterable {
    /// One veth between two namespaces: the least that two pods can cost.
    case veth
    /// A node that routes between its pods, without any policy, Service or connection tracking.
    case kernel
    /// The same node with the rules that kube-proxy writes for ten Services.
    case iptablesFew = "iptables-10"
    /// … for ten thousand.
    case iptablesMany = "iptables-10000"
    /// The node with Apus: policy enforced, flow events on, ten Services.
    case apusFew = "apus-10"
    /// … ten thousand Services.
    case apusMany = "apus-10000"
    /// As `apusFew`, with a client that the socket programs do not see: its packets are translated one by one.
    case apusPacket = "apus-packet"
    /// As `apusFew`, with `--flow-detail none`.
    case apusSilent = "apus-silent"

    var explanation: String {
        switch self {
        case .veth: "two namespaces and one veth"
        case .kernel: "a node that routes, no policy"
        case .iptablesFew: "kube-proxy's iptables rules, 10 Services"
        case .iptablesMany: "kube-proxy's iptables rules, 10,000 Services"
        case .apusFew: "Apus with policy and flow events, 10 Services"
        case .apusMany: "Apus with policy and flow events, 10,000 Services"
        case .apusPacket: "as apus-10, Services translated per packet instead of at the socket"
        case .apusSilent: "as apus-10, without flow events"
        }
    }

    /// The number of Services; 0 when it knows none.
    var services: Int {
        switch self {
        case .veth, .kernel: 0
        case .iptablesMany, .apusMany: ServiceCount.many
        case .iptablesFew, .apusFew, .apusPacket, .apusSilent: ServiceCount.few
        }
    }

    var hasServices: Bool { services > 0 }
    var isApus: Bool { [.apusFew, .apusMany, .apusPacket, .apusSilent].contains(self) }
    var isIPTables: Bool { self == .iptablesFew || self == .iptablesMany }

    /// The peer whose network it uses; itself when it has its own.
    var owner: PeerKind { self == .apusPacket ? .apusFew : self }

    /// What is measured with it.
    var metrics: [Metric] {
        switch self {
        case .veth, .kernel: Metric.all.filter { $0.destination == .pod }
        case .iptablesFew, .iptablesMany, .apusFew, .apusMany: Metric.all
        case .apusPacket: Metric.all.filter { $0.destination == .clusterIP }
        case .apusSilent: Metric.all.filter { [.connections, .throughput].contains($0.workload) }
        }
    }
}

/// Two peers whose ratio the report shows.
struct Comparison: Sendable, Hashable {
    var subject: PeerKind
    var reference: PeerKind

    var title: String { "\(subject.rawValue) / \(reference.rawValue)" }

    /// The ratios of the budgets first, then what puts them into proportion.
    static let all = [
        Comparison(subject: .apusFew, reference: .kernel), Comparison(subject: .apusFew, reference: .iptablesFew),
        Comparison(subject: .apusMany, reference: .kernel), Comparison(subject: .apusMany, reference: .iptablesMany),
        Comparison(subject: .apusMany, reference: .apusFew), Comparison(subject: .apusFew, reference: .apusSilent),
        Comparison(subject: .apusPacket, reference: .iptablesFew), Comparison(subject: .apusFew, reference: .veth),
        Comparison(subject: .kernel, reference: .veth), Comparison(subject: .iptablesFew, reference: .kernel),
        Comparison(subject: .iptablesMany, reference: .kernel),
    ]
}
