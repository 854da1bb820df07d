internal import Addressing

/// Which of a node's addresses have node ports.
struct NodePortAddresses: Sendable {
    /// The blocks that they are in; empty: all are.
    var blocks: Set<CIDR> = []

    /// Link-local ones of IPv6 are never among them: each link has its own, so they are not the node's alone.
    func addresses(of node: Set<IPAddress>) -> Set<IPAddress> {
        node.filter { address in
            (address.isIPv4 || !address.isLinkLocal) && (blocks.isEmpty || blocks.contains { $0.contains(address) })
        }
    }
}
