internal import Flows
internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import HubbleFlows

/// What each socket is served with.
struct ServedServices: Sendable {
    let node: String
    let version: String
    let started: UInt64
    let hub: FlowHub
    let peers: HubblePeers
    let counters: HubbleCounters
    let encoder: FlowEncoder
    let streams = StreamLimit()

    /// What a server says of itself.
    func description(_ place: String) -> HubbleNodeDescription {
        HubbleNodeDescription(
            name: node, version: "Apus \(version)", place: place, isEverywhere: false, port: nil, usesTLS: false,
            started: started)
    }

    /// A server on a socket that listens.
    func server(
        _ descriptor: Int, _ security: HTTP2ServerTransport.Posix.TransportSecurity,
        _ description: HubbleNodeDescription
    ) -> PlaceServer.Server {
        GRPCServer(
            transport: HTTP2ServerTransport.Posix(
                listeningSocketDescriptor: descriptor, transportSecurity: security, config: Self.limits),
            services: [
                ObserverService(
                    hub: hub, encoder: encoder, node: description, peers: peers, counters: counters,
                    streams: streams),
                PeerService(node: description, peers: peers, streams: streams), HealthService(streams: streams),
            ])
    }

    /// A silent connection is asked whether it lives: a client that is gone must not keep a stream. Requests are small.
    private static var limits: HTTP2ServerTransport.Posix.Config {
        .defaults { config in
            config.rpc.maxRequestPayloadSize = 1 << 16
            config.connection.keepalive.time = .seconds(60)
            config.connection.keepalive.timeout = .seconds(20)
            config.connection.keepalive.clientBehavior.allowWithoutCalls = true
        }
    }
}
