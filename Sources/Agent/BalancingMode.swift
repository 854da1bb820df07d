internal import Datapath

/// How answers of backends elsewhere get to clients outside (`--load-balancer-mode`).
public enum BalancingMode: String, Sendable, Hashable, CaseIterable {
    /// By way of the node that the client has asked, whose address the backend sees.
    case snat
    /// From the backend's node, and the backend sees the client's address.
    case dsr
    /// `dsr` for TCP and SCTP, `snat` for UDP.
    case hybrid

    var directReturn: DirectReturn {
        switch self {
        case .snat: []
        case .dsr: [.connections, .datagrams]
        case .hybrid: .connections
        }
    }
}
