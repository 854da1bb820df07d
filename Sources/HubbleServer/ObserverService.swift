internal import Addressing
internal import Flows
internal import GRPCCore
internal import HubbleAPI
internal import HubbleFlows
internal import SwiftProtobuf

/// Hubble's `observer.Observer` over the flows of this node.
struct ObserverService: HubbleObserver.SimpleServiceProtocol {
    let hub: FlowHub
    let encoder: FlowEncoder
    let node: HubbleNodeDescription
    let peers: HubblePeers
    let counters: HubbleCounters
    let streams: StreamLimit

    func getFlows(
        request: HubbleGetFlowsRequest, response: RPCWriter<HubbleGetFlowsResponse>, context: ServerContext
    ) async throws {
        let reading = try FlowReading(request, hub, encoder)
        try await streams.serve {
            counters.opened()
            defer { counters.closed() }
            try await untilCancelled(context) {
                try await reading.run { record in
                    try await response.write(record)
                    counters.sent(record)
                }
            }
        }
    }

    func serverStatus(request: HubbleServerStatusRequest, context: ServerContext) async throws
        -> HubbleServerStatusResponse
    {
        let statistics = hub.statistics
        var status = HubbleServerStatusResponse()
        status.version = node.version
        status.numFlows = UInt64(statistics.stored)
        status.maxFlows = UInt64(statistics.capacity)
        status.seenFlows = statistics.appended
        status.uptimeNs = node.uptime
        status.flowsRate = rate(now: node.now)
        return status
    }

    /// Flows a second over the last minute, as far as they are still held.
    private func rate(now: UInt64) -> Double {
        let minute: UInt64 = 60_000_000_000
        let window = min(minute, max(node.uptime, 1_000_000_000))
        let oldest = now > window ? now - window : 0
        var sequence = hub.nextSequence
        var count = 0
        while true {
            let flows = hub.before(sequence, limit: 4096)
            guard let first = flows.first else { break }
            count += flows.count { $0.time >= oldest && $0.kind != .lost }
            if first.time < oldest { break }
            sequence = first.sequence
        }
        return Double(count) * 1_000_000_000 / Double(window)
    }

    /// Where others find this node.
    private var address: String {
        guard node.isEverywhere, let port = node.port, let own = peers.address(of: node.name) else { return node.place }
        return "\(SocketAddress(own, port))"
    }

    func getNodes(request: HubbleGetNodesRequest, context: ServerContext) async throws -> HubbleGetNodesResponse {
        let statistics = hub.statistics
        var response = HubbleGetNodesResponse()
        response.nodes = [
            HubbleNode.with {
                $0.name = node.name
                $0.version = node.version
                $0.address = address
                $0.state = .nodeConnected
                $0.tls.enabled = node.usesTLS
                if node.usesTLS { $0.tls.serverName = node.name }
                $0.uptimeNs = node.uptime
                $0.numFlows = UInt64(statistics.stored)
                $0.maxFlows = UInt64(statistics.capacity)
                $0.seenFlows = statistics.appended
            }
        ]
        return response
    }

    /// The namespaces of flows that are held.
    func getNamespaces(request: HubbleGetNamespacesRequest, context: ServerContext) async throws
        -> HubbleGetNamespacesResponse
    {
        var found: Set<String> = []
        var sequence: UInt64 = 1
        while true {
            let flows = hub.since(sequence, limit: 4096)
            guard let last = flows.last else { break }
            for flow in flows {
                for namespace in [flow.source.namespace, flow.destination.namespace, flow.service?.namespace] {
                    if let namespace { found.insert(namespace) }
                }
            }
            sequence = last.sequence + 1
        }
        var response = HubbleGetNamespacesResponse()
        response.namespaces = found.sorted().map { name in
            HubbleNamespace.with { ($0.cluster, $0.namespace) = (FlowEncoder.cluster, name) }
        }
        return response
    }

    /// The start of the agent, if it is within the times; it is in the past for who follows only what comes.
    func getAgentEvents(
        request: HubbleGetAgentEventsRequest, response: RPCWriter<HubbleGetAgentEventsResponse>, context: ServerContext
    ) async throws {
        let since = request.hasSince ? try FlowReading.nanoseconds(request.since, "since") : 0
        let until = request.hasUntil ? try FlowReading.nanoseconds(request.until, "until") : .max
        let wantsPast = !request.follow || request.number > 0 || request.hasSince
        if wantsPast, since <= node.started, node.started <= until {
            var event = HubbleGetAgentEventsResponse()
            event.nodeName = node.name
            event.time = Google_Protobuf_Timestamp(
                seconds: Int64(node.started / 1_000_000_000), nanos: Int32(node.started % 1_000_000_000))
            event.agentEvent.type = .agentStarted
            event.agentEvent.agentStart.time = event.time
            try await response.write(event)
        }
        if request.follow { try await wait(context) }
    }

    /// Until the client or the server ends it.
    private func wait(_ context: ServerContext) async throws {
        try await streams.serve { try await context.cancellation.cancelled }
    }

    /// None, as of a node of Cilium's without its debug mode.
    func getDebugEvents(
        request: HubbleGetDebugEventsRequest, response: RPCWriter<HubbleGetDebugEventsResponse>, context: ServerContext
    ) async throws {
        if request.follow { try await wait(context) }
    }
}
