public import Addressing
internal import Kubernetes

/// Which of a node's addresses have node ports.
public enum NodePortAddresses: Sendable, Hashable {
    case all
    /// The first one of each family by which the Node object knows the node.
    case primary
    case blocks(Set<CIDR>)

    /// Those that have them, of what the node's interfaces have.
    ///
    /// Link-local ones of IPv6 are never among them: each link has its own, so they are not the node's alone.
    ///
    /// - Parameter node: the Node object; while there is none, no address is a primary one.
    func addresses(among local: Set<IPAddress>, of node: Node?) -> Set<IPAddress> {
        let own = local.filter { $0.isIPv4 || !$0.isLinkLocal }
        switch self {
        case .all: return own
        case .primary: return own.intersection(node?.primaryAddresses ?? [])
        case .blocks(let blocks): return own.filter { address in blocks.contains { $0.contains(address) } }
        }
    }
}
