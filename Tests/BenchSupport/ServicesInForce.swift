public import Addressing
internal import Datapath
internal import NetworkPolicy

/// How far a node's agent has come with Services.
public struct ServicesInForce: ~Copyable {
    private let reader: DatapathReader

    /// - Parameter bpffs: Where the agent's maps are pinned.
    public init(bpffs: String) throws { reader = try DatapathReader(bpffs: bpffs) }

    /// The backends behind a frontend for TCP; nil where the maps don't have it.
    public func backends(of frontend: SocketAddress) -> Int? { reader.backendCount(of: frontend, .tcp) }
}
