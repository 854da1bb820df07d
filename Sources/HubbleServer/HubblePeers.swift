public import Addressing
internal import Synchronization

/// The other nodes of the cluster, for relays: every agent tells of all.
public final class HubblePeers: Sendable {
    /// What became of a node.
    enum Change: Sendable, Equatable {
        case added(String, IPAddress)
        case updated(String, IPAddress)
        case deleted(String, IPAddress)
    }

    private struct State {
        var nodes: [String: IPAddress] = [:]
        var followers: [UInt64: AsyncStream<Change>.Continuation] = [:]
        var nextFollower: UInt64 = 0

        func tell(_ change: Change) {
            // Who takes none of so many is stuck; it may ask anew.
            for follower in followers.values {
                if case .dropped = follower.yield(change) { follower.finish() }
            }
        }
    }

    private let state = Mutex(State())

    public init() {}

    /// Takes a node in, at one of its addresses; nil: it has none.
    public func upsert(_ node: String, _ address: IPAddress?) {
        guard let address else { return remove(node) }
        state.withLock { state in
            let former = state.nodes.updateValue(address, forKey: node)
            if former == address { return }
            state.tell(former == nil ? .added(node, address) : .updated(node, address))
        }
    }

    /// Where a node is; nil for one that is not known.
    func address(of node: String) -> IPAddress? { state.withLock { $0.nodes[node] } }

    /// Forgets a node.
    public func remove(_ node: String) {
        state.withLock { state in
            guard let address = state.nodes.removeValue(forKey: node) else { return }
            state.tell(.deleted(node, address))
        }
    }

    /// All nodes as added, then each change; dropping the stream ends it.
    func changes() -> AsyncStream<Change> {
        let (stream, continuation) = AsyncStream<Change>.makeStream(bufferingPolicy: .bufferingOldest(16_384))
        let id = state.withLock { state in
            for (node, address) in state.nodes.sorted(by: { $0.key < $1.key }) {
                continuation.yield(.added(node, address))
            }
            state.nextFollower += 1
            state.followers[state.nextFollower] = continuation
            return state.nextFollower
        }
        continuation.onTermination = { [weak self] _ in
            self?.forget(id)
        }
        return stream
    }

    private func forget(_ follower: UInt64) {
        _ = state.withLock { $0.followers.removeValue(forKey: follower) }
    }
}
