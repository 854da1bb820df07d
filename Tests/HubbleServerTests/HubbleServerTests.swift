import Addressing
import Flows
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import HTTPEndpoint
import HubbleAPI
import HubbleServer
import SwiftProtobuf
import TestSupport
import Testing

/// A server over a store of flows, for one test.
struct Served {
    let hub: FlowHub
    let peers: HubblePeers
    let counters: HubbleCounters
    /// `unix:///…` as gRPC writes it.
    let socket: String
    let port: Int
    /// A directory of the test's own.
    let directory: String

    static func run(
        capacity: Int = 100, flows: [Flow] = Sample.flows, tls: HubbleServer.Security? = nil,
        _ body: (Served) async throws -> Void
    ) async throws {
        let directory = "\(NSTemporaryDirectory())/hubble-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/hubble.sock"
        let (hub, peers, counters) = (FlowHub(capacity: capacity), HubblePeers(), HubbleCounters())
        hub.append(flows)
        let server = try HubbleServer(
            .init(socket: path, address: ListenAddress("127.0.0.1:0"), tls: tls), node: "node-a", version: "1.2.3",
            hub: hub, peers: peers, counters: counters)
        let running = Task { try await server.run { _ in } }
        let served = Served(
            hub: hub, peers: peers, counters: counters, socket: path, port: server.port, directory: directory)
        do { try await body(served) } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
        running.cancel()
        _ = await running.result
        #expect(!FileManager.default.fileExists(atPath: path), "the socket goes with the server")
    }

    /// Lends a client that grpc-swift generated.
    func withClient(_ body: @escaping @Sendable (GRPCClient<HTTP2ClientTransport.Posix>) async throws -> Void)
        async throws
    {
        try await withGRPCClient(
            transport: .http2NIOPosix(target: .unixDomainSocket(path: socket), transportSecurity: .plaintext),
            handleClient: body)
    }
}

/// The answers to a GetFlows request that ends by itself, or the first ones of one that doesn't.
func flows(
    _ client: GRPCClient<HTTP2ClientTransport.Posix>, _ request: HubbleGetFlowsRequest, count: Int = .max
) async throws -> [HubbleGetFlowsResponse] {
    try await HubbleObserver.Client(wrapping: client).getFlows(request) { response in
        var found: [HubbleGetFlowsResponse] = []
        for try await message in response.messages {
            found.append(message)
            if found.count == count { break }
        }
        return found
    }
}

@Suite("Hubble's services", .serialized)
struct HubbleServerTests {
    /// Ten flows a second apart, numbered by their ports.
    static let ten: [Flow] = (1...10).map { number in
        Sample.flow(.opened, Sample.front, Sample.cart, port: Port(number)) {
            $0.time += UInt64(number) * 1_000_000_000
        }
    }

    static func time(_ seconds: UInt64) -> Google_Protobuf_Timestamp {
        let time = Sample.time + seconds * 1_000_000_000
        return Google_Protobuf_Timestamp(seconds: Int64(time / 1_000_000_000), nanos: Int32(time % 1_000_000_000))
    }

    static func ports(_ responses: [HubbleGetFlowsResponse]) -> [UInt32] {
        responses.map(\.flow.l4.tcp.destinationPort)
    }

    @Test("past flows: the last, the first, since and until, and what filters leave")
    func past() async throws {
        try await Served.run(flows: Self.ten) { served in
            try await served.withClient { client in
                func expect(
                    _ ports: [UInt32], _ what: String, _ change: (inout HubbleGetFlowsRequest) throws -> Void
                ) async throws {
                    var request = HubbleGetFlowsRequest()
                    try change(&request)
                    #expect(Self.ports(try await flows(client, request)) == ports, "\(what)")
                }
                try await expect(Array(1...10), "all") { _ in }
                try await expect([8, 9, 10], "the last three") { $0.number = 3 }
                try await expect([1, 2], "the first two") { ($0.number, $0.first) = (2, true) }
                try await expect([7, 8, 9, 10], "since") { $0.since = Self.time(7) }
                try await expect([1, 2, 3], "until") { $0.until = Self.time(3) }
                try await expect([3, 4], "between") { ($0.since, $0.until) = (Self.time(3), Self.time(4)) }
                try await expect([4, 5], "the last before") { ($0.number, $0.until) = (2, Self.time(5)) }
                try await expect([9, 10], "the last since") { ($0.number, $0.since) = (2, Self.time(2)) }
                try await expect([2, 3], "the first since") {
                    ($0.number, $0.first, $0.since) = (2, true, Self.time(2))
                }
                try await expect([2, 4], "the last that match") {
                    $0.number = 2
                    $0.whitelist = [try HubbleFlowFilter(jsonString: #"{"destination_port": ["1", "2", "4"]}"#)]
                }
                try await expect([1], "but for the blacklist") {
                    $0.whitelist = [try HubbleFlowFilter(jsonString: #"{"destination_port": ["1", "2"]}"#)]
                    $0.blacklist = [try HubbleFlowFilter(jsonString: #"{"destination_port": ["2"]}"#)]
                }
            }
        }
    }

    @Test("verdicts of policies count as flows, and come before the event")
    func verdicts() async throws {
        try await Served.run(flows: Array(Sample.flows.prefix(2))) { served in
            try await served.withClient { client in
                func told(_ number: UInt64, first: Bool = false) async throws -> [String] {
                    let request = HubbleGetFlowsRequest.with { ($0.number, $0.first) = (number, first) }
                    return try await flows(client, request).map {
                        "\($0.flow.eventType.type) \($0.flow.trafficDirection)"
                    }
                }
                let all = ["5 egress", "5 ingress", "4 egress", "5 ingress", "1 ingress"]
                for number in 1...5 {
                    let (last, first) = (try await told(UInt64(number)), try await told(UInt64(number), first: true))
                    #expect(last == all.suffix(number) && first == Array(all.prefix(number)))
                }
                #expect(try await told(0) == all)
            }
        }
    }

    @Test("a follower gets what is there and what comes, in order and once")
    func following() async throws {
        try await Served.run(flows: Array(Self.ten.prefix(5))) { served in
            try await served.withClient { client in
                let last = HubbleGetFlowsRequest.with { ($0.follow, $0.number) = (true, 2) }
                async let found = flows(client, last, count: 7)
                try await eventually("the stream") { served.counters.current.flows == 2 }
                for flow in Self.ten.suffix(5) { served.hub.append(flow) }
                #expect(Self.ports(try await found) == [4, 5, 6, 7, 8, 9, 10])
                try await eventually("the first stream to end") { served.counters.current.streams == 0 }
                let none = HubbleGetFlowsRequest.with { $0.follow = true }
                async let fresh = flows(client, none, count: 1)
                try await eventually("the second stream") { served.counters.current.streams == 1 }
                served.hub.append(Self.ten[0])
                #expect(Self.ports(try await fresh) == [1])
                try await eventually("no stream") { served.counters.current.streams == 0 }
            }
        }
    }

    @Test("what made room before anybody asked is nobody's loss")
    func wrapped() async throws {
        try await Served.run(capacity: 4, flows: Self.ten) { served in
            try await served.withClient { client in
                let found = try await flows(client, HubbleGetFlowsRequest())
                #expect(Self.ports(found) == [7, 8, 9, 10] && served.counters.current.lost == 0)
            }
        }
    }

    @Test("what a slow client misses is told, and sent and lost are all there was")
    func slow() async throws {
        try await Served.run(capacity: 64, flows: []) { served in
            try await served.withClient { client in
                var request = HubbleGetFlowsRequest()
                request.follow = true
                let total = 20_000
                let (count, lost) = try await HubbleObserver.Client(wrapping: client).getFlows(request) { response in
                    try await eventually("the stream") { served.counters.current.streams == 1 }
                    var (count, lost): (UInt64, UInt64) = (0, 0)
                    // The client takes nothing meanwhile, and the writer does not wait.
                    for _ in 0..<total { served.hub.append(Self.ten[0]) }
                    for try await message in response.messages {
                        if case .lostEvents(let loss) = message.responseTypes {
                            #expect(loss.source == .hubbleRingBuffer)
                            lost += loss.numEventsLost
                        } else {
                            count += 1
                        }
                        if count + lost == total { break }
                    }
                    return (count, lost)
                }
                #expect(count + lost == total && lost > 0, "\(count) sent, \(lost) lost")
                #expect(served.counters.current.lost == lost)
            }
        }
    }

    @Test("status, nodes, namespaces, health")
    func unary() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                let observer = HubbleObserver.Client(wrapping: client)
                let status = try await observer.serverStatus(HubbleServerStatusRequest())
                #expect(status.numFlows == 6 && status.maxFlows == 100 && status.seenFlows == 6)
                #expect(status.version == "Apus 1.2.3" && status.uptimeNs > 0)
                let nodes = try await observer.getNodes(HubbleGetNodesRequest()).nodes
                #expect(nodes.map(\.name) == ["node-a"] && nodes[0].state == .nodeConnected && nodes[0].numFlows == 6)
                let namespaces = try await observer.getNamespaces(HubbleGetNamespacesRequest()).namespaces
                #expect(namespaces.map(\.namespace) == ["kube-system", "shop"])
                #expect(namespaces.allSatisfy { $0.cluster == "default" })
                let health = HubbleHealth.Client(wrapping: client)
                for service in ["", "hubble.server.Observer", "observer.Observer", "peer.Peer"] {
                    let answer = try await health.check(HubbleHealthCheckRequest.with { $0.service = service })
                    #expect(answer.status == .serving)
                }
                let error = await #expect(throws: RPCError.self) {
                    _ = try await health.check(HubbleHealthCheckRequest.with { $0.service = "x.Y" })
                }
                #expect(error?.code == .notFound)
            }
        }
    }

    @Test("requests that can't be answered are refused with the reason")
    func refusals() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                func expect(
                    _ code: RPCError.Code, _ message: String, _ call: () async throws -> Void
                ) async {
                    let error = await #expect(throws: RPCError.self) { try await call() }
                    #expect(error?.code == code && error?.message == message, "\(String(describing: error))")
                }
                func asking(_ change: (inout HubbleGetFlowsRequest) throws -> Void) async throws {
                    var request = HubbleGetFlowsRequest()
                    try change(&request)
                    _ = try await flows(client, request)
                }
                await expect(.invalidArgument, "first: excludes follow: there is no end to wait for") {
                    try await asking { ($0.first, $0.follow) = (true, true) }
                }
                await expect(.invalidArgument, "until: is before since") {
                    try await asking { ($0.since, $0.until) = (Self.time(2), Self.time(1)) }
                }
                await expect(.invalidArgument, "since: -5 s 0 ns is no time from 1970 on") {
                    try await asking { $0.since.seconds = -5 }
                }
                await expect(
                    .invalidArgument, "whitelist[0].source_ip[0]: 'x' is neither an address nor a block of them"
                ) {
                    try await asking { $0.whitelist = [try HubbleFlowFilter(jsonString: #"{"source_ip": ["x"]}"#)] }
                }
            }
        }
    }

    @Test("of the agent's events there is its start, and of debugging none")
    func events() async throws {
        try await Served.run { served in
            try await served.withClient { client in
                let observer = HubbleObserver.Client(wrapping: client)
                func types(_ request: HubbleGetAgentEventsRequest) async throws -> [HubbleAgentEventType] {
                    try await observer.getAgentEvents(request) { response in
                        var found: [HubbleAgentEventType] = []
                        for try await message in response.messages {
                            #expect(message.nodeName == "node-a" && message.agentEvent.agentStart.time == message.time)
                            found.append(message.agentEvent.type)
                        }
                        return found
                    }
                }
                #expect(try await types(HubbleGetAgentEventsRequest()) == [.agentStarted])
                #expect(try await types(HubbleGetAgentEventsRequest.with { $0.until = Self.time(0) }) == [])
                let later = Google_Protobuf_Timestamp(seconds: 8_000_000_000)
                #expect(try await types(HubbleGetAgentEventsRequest.with { $0.since = later }) == [])
                let count = try await observer.getDebugEvents(HubbleGetDebugEventsRequest()) { response in
                    var count = 0
                    for try await _ in response.messages { count += 1 }
                    return count
                }
                #expect(count == 0)
            }
        }
    }

    @Test("a relay learns of this node, of the others and of what becomes of them")
    func relays() async throws {
        try await Served.run { served in
            try await withGRPCClient(
                transport: .http2NIOPosix(
                    target: .ipv4(address: "127.0.0.1", port: served.port), transportSecurity: .plaintext)
            ) { client in
                served.peers.upsert("node-a", ip("192.0.2.1"))
                served.peers.upsert("node-b", ip("192.0.2.2"))
                let told = try await HubblePeerPeer.Client(wrapping: client).notify(HubblePeerNotifyRequest()) {
                    response in
                    var told: [String] = []
                    for try await change in response.messages {
                        told.append("\(change.type) \(change.name) \(change.address)")
                        switch told.count {
                        case 2:
                            served.peers.upsert("node-b", ip("fd00::2"))
                            served.peers.upsert("node-c", nil)
                            served.peers.remove("node-c")
                            served.peers.remove("node-b")
                        case 4: return told
                        default: break
                        }
                    }
                    return told
                }
                #expect(
                    told == [
                        "peerAdded node-a 127.0.0.1:\(served.port)", "peerAdded node-b 192.0.2.2:\(served.port)",
                        "peerUpdated node-b [fd00::2]:\(served.port)", "peerDeleted node-b [fd00::2]:\(served.port)",
                    ])
            }
        }
    }

    @Test("a node that listens everywhere is told at the address of its Node object")
    func everywhere() async throws {
        let (hub, peers) = (FlowHub(capacity: 4), HubblePeers())
        let server = try HubbleServer(
            .init(address: ListenAddress(":0")), node: "node-a", version: "1", hub: hub, peers: peers,
            counters: HubbleCounters())
        let running = Task { try await server.run { _ in } }
        defer { running.cancel() }
        peers.upsert("node-a", ip("192.0.2.1"))
        try await withGRPCClient(
            transport: .http2NIOPosix(
                target: .ipv4(address: "127.0.0.1", port: server.port), transportSecurity: .plaintext)
        ) { client in
            let first = try await HubblePeerPeer.Client(wrapping: client).notify(HubblePeerNotifyRequest()) {
                response in
                for try await change in response.messages { return change.address }
                return ""
            }
            #expect(first == "192.0.2.1:\(server.port)")
            let nodes = try await HubbleObserver.Client(wrapping: client).getNodes(HubbleGetNodesRequest()).nodes
            #expect(nodes.map(\.address) == ["192.0.2.1:\(server.port)"])
        }
    }

    @Test("one that is ended as soon as it begins ends well")
    func endedAtOnce() async throws { for _ in 0..<20 { try await Served.run { _ in } } }

    @Test("a socket that is in the way, or a file, is told of; a stale socket is replaced")
    func sockets() async throws {
        try await Served.run { served in
            func server(_ path: String) throws {
                _ = try HubbleServer(
                    .init(socket: path), node: "n", version: "1", hub: served.hub, peers: served.peers,
                    counters: served.counters)
            }
            let file = "\(served.directory)/file"
            try Data().write(to: URL(fileURLWithPath: file))
            let error = #expect(throws: HubbleServerError.self) { try server(file) }
            #expect(
                error?.description
                    == "can't listen on \(file): it is no socket; name another path, or an empty one, with "
                    + "--hubble-socket")
            let taken = #expect(throws: HubbleServerError.self) {
                _ = try HubbleServer(
                    .init(address: ListenAddress("127.0.0.1:\(served.port)")), node: "n", version: "1", hub: served.hub,
                    peers: served.peers, counters: served.counters)
            }
            #expect(taken?.description.contains("can't listen on 127.0.0.1:\(served.port): Address already") == true)
            let mode = try FileManager.default.attributesOfItem(atPath: served.socket)[.posixPermissions] as? Int
            #expect(mode == 0o660)
            #expect(throws: HubbleServerError.self) { try server("\(served.directory)/no/such/place.sock") }
            let used = #expect(throws: HubbleServerError.self) { try server(served.socket) }
            #expect(used?.description.contains("somebody listens there") == true)
        }
    }
}
