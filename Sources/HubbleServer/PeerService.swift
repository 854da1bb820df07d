internal import Addressing
internal import GRPCCore
internal import HubbleAPI
internal import SwiftProtobuf

/// Hubble's `peer.Peer`, by which a relay learns whom to ask.
struct PeerService: HubblePeerPeer.SimpleServiceProtocol {
    let node: HubbleNodeDescription
    let peers: HubblePeers
    let streams: StreamLimit

    /// This node first, then the others as they come and go: they serve where this one does, on its port. One that
    /// listens on all its addresses is told like the others, at that of its Node object.
    func notify(
        request: HubblePeerNotifyRequest, response: RPCWriter<HubblePeerChangeNotification>, context: ServerContext
    ) async throws {
        try await streams.serve { try await tell(response, context) }
    }

    private func tell(_ response: RPCWriter<HubblePeerChangeNotification>, _ context: ServerContext) async throws {
        if !node.isEverywhere { try await response.write(notification(node.name, node.place, .peerAdded)) }
        // What is on a path of this host is nobody else's.
        guard let port = node.port else { return try await context.cancellation.cancelled }
        try await untilCancelled(context) {
            for await change in peers.changes() {
                let (name, address, type) = Self.parts(change)
                if name == node.name, !node.isEverywhere { continue }
                try await response.write(notification(name, "\(SocketAddress(address, port))", type))
            }
        }
    }

    private static func parts(
        _ change: HubblePeers.Change
    ) -> (String, IPAddress, HubblePeerChangeNotificationType) {
        switch change {
        case .added(let node, let address): (node, address, .peerAdded)
        case .updated(let node, let address): (node, address, .peerUpdated)
        case .deleted(let node, let address): (node, address, .peerDeleted)
        }
    }

    private func notification(
        _ name: String, _ address: String, _ type: HubblePeerChangeNotificationType
    ) -> HubblePeerChangeNotification {
        HubblePeerChangeNotification.with {
            ($0.name, $0.address, $0.type) = (name, address, type)
            if node.usesTLS { $0.tls.serverName = name }
        }
    }
}
