import Addressing
import AgentAPI
import struct Datapath.VerdictQuestion
import Flows
import Foundation
import Synchronization

@testable import ApusCLI

/// What a command wrote and how it ended.
struct Outcome: Equatable {
    var code: Int32
    var output: String
    var notes: String
}

/// Text that tasks append to.
final class Text: Sendable {
    private let text = Mutex("")

    var value: String { text.withLock { $0 } }

    func append(_ more: String) { text.withLock { $0 += more } }
}

/// Runs a command with a made-up world: by default a data path with something in it, and no agent.
func run(
    _ arguments: String..., datapath: (any DatapathView)? = FakeDatapath(), socket: String = "/nowhere/apus.sock",
    facts: NodeFacts? = nil, environment: [String: String] = [:], colour: Bool = false
) async -> Outcome {
    await run(
        arguments: arguments, datapath: datapath, socket: socket, facts: facts, environment: environment,
        colour: colour)
}

/// The same with a list of arguments.
func run(
    arguments: [String], datapath: (any DatapathView)? = FakeDatapath(), socket: String = "/nowhere/apus.sock",
    facts: NodeFacts? = nil, environment: [String: String] = [:], colour: Bool = false,
    onWrite: @escaping @Sendable (String) throws -> Void = { _ in }
) async -> Outcome {
    let opener: @Sendable (String) throws -> any DatapathView = { directory in
        guard let datapath else { throw CommandError.noMaps(directory) }
        return datapath
    }
    return await run(
        arguments: arguments, datapath: opener, socket: socket, facts: facts, environment: environment,
        colour: colour, onWrite: onWrite)
}

/// The same with what opens the data path.
func run(
    arguments: [String], datapath: @escaping @Sendable (String) throws -> any DatapathView,
    socket: String = "/nowhere/apus.sock", facts: NodeFacts? = nil, environment: [String: String] = [:],
    colour: Bool = false, onWrite: @escaping @Sendable (String) throws -> Void = { _ in }
) async -> Outcome {
    let (output, notes) = (Text(), Text())
    let console = Console(usesColour: colour) { text in
        output.append(text)
        try onWrite(text)
    } note: {
        notes.append($0 + "\n")
    }
    var context = CommandContext(console: console, datapath: datapath)
    context.environment = environment.merging(["APUS_SOCKET": socket]) { given, _ in given }
    context.now = { FakeDatapath.now }
    // On a busy machine an answer takes as long as the tests beside it.
    context.agent = { path in
        var limits = AgentClient.Limits()
        (limits.helloTime, limits.answerTime) = (.seconds(120), .seconds(120))
        return AgentClient(path: path, limits: limits)
    }
    if let facts { context.node = FixedProbe(result: facts) }
    context.flowText = FlowText(usesColour: colour)
    let code = await CommandLineTool.run(arguments, context)
    return Outcome(code: code, output: output.value, notes: notes.value)
}

/// Facts that were written down.
struct FixedProbe: NodeProbe {
    let result: NodeFacts

    func facts(directory: String, uplinks: [String]) -> NodeFacts {
        var facts = result
        facts.directory = directory
        if !uplinks.isEmpty { facts.uplinks = uplinks }
        return facts
    }
}

/// A data path with two pods, a Service and a policy.
struct FakeDatapath: DatapathView {
    static let now: UInt64 = 1_772_360_000_000_000_000
    var isEmpty = false
    /// Of the first pod.
    var egressPolicy: String?
    var judgements: [VerdictQuestion: PolicyJudgement] = [:]

    func status() throws -> DatapathStatus {
        DatapathStatus(
            node: "node-a", abiVersion: 1, started: "2026-03-01T09:13:20.000000000Z", endpoints: 2, services: 1,
            frontends: 2, backends: 3, policies: 1, connections: .init(used: 5120, capacity: 262_144),
            halfOpen: .init(used: 0, capacity: 65_536),
            drops: [
                .init(reason: "policy_isolated", direction: "ingress", packets: 42, bytes: 3108),
                .init(reason: "no_backend", direction: "egress", packets: 3, bytes: 222),
            ], events: .init(submitted: 9001, lost: 0))
    }

    func endpoints() throws -> [EndpointRow] {
        if isEmpty { return [] }
        return [
            EndpointRow(
                namespace: "shop", pod: "cart-0", uid: "u-1", addresses: ["10.244.0.5", "fd00:10:244::5"],
                interface: "veth5", interfaceIndex: 5, mac: "02:00:00:00:00:05", identity: 12, slot: 1, generation: 3,
                ingressPolicy: "00c0ffee", egressPolicy: egressPolicy, redirect: true),
            EndpointRow(
                namespace: "shop", pod: "front-7d9f", uid: "u-2", addresses: ["10.244.0.6"], interface: nil,
                interfaceIndex: 6, mac: nil, identity: 7, slot: 2, generation: 1, ingressPolicy: nil,
                egressPolicy: nil, redirect: false),
        ]
    }

    func services() throws -> [ServiceRow] {
        if isEmpty { return [] }
        let backends = (5...9).map { ServiceRow.Backend(address: "10.244.0.\($0)", port: 8080) }
        return [
            ServiceRow(
                namespace: "shop", service: "cart", portName: "http", address: "10.96.0.10", port: 80,
                ipProtocol: "TCP", backends: backends, affinitySeconds: 600),
            ServiceRow(
                namespace: "shop", service: "edge", portName: "http", address: "203.0.113.1", port: 80,
                ipProtocol: "TCP", kind: .loadBalancer, backends: backends, outside: [backends[0]]),
            ServiceRow(
                namespace: "shop", service: "edge", portName: "http", address: "203.0.113.2", port: 80,
                ipProtocol: "TCP", kind: .loadBalancer, backends: backends, sourceRanges: ["198.51.100.0/24"]),
            ServiceRow(
                namespace: "shop", service: "gone", portName: nil, address: "fd00:10:96::11", port: 53,
                ipProtocol: "UDP", backends: []),
        ]
    }

    func policies() throws -> [PolicyRow] {
        if isEmpty { return [] }
        return [
            PolicyRow(
                policy: "00c0ffee", direction: "ingress", isolates: true, isolatedBy: "NetworkPolicy shop/cart",
                endpoints: ["shop/cart-0"],
                rules: [
                    PolicyRow.Rule(
                        number: 0, kind: "NetworkPolicy", namespace: "shop", name: "cart", rule: "ingress[0]",
                        tier: "network-policy", action: "allow")
                ]),
            PolicyRow(
                policy: "0badcafe", direction: nil, isolates: false, isolatedBy: nil, endpoints: [], rules: []),
        ]
    }

    func judge(_ question: VerdictQuestion) throws -> PolicyJudgement? { judgements[question] }

    func domains() throws -> [DomainRow] {
        if isEmpty { return [] }
        var known = Self.wildcard
        known.name = "api.shop.test"
        known.addresses = (1...3).map {
            HeldAddress(
                address: "198.51.100.\($0)", expires: Timestamp.text(Self.now + $0 * 4_000_000_000),
                remaining: $0 * 4_000_000_000)
        }
        return [known, Self.refused]
    }

    private static let refused = DomainRow(
        pattern: "*b*b*", field: "pattern", isInForce: false, policy: "0badcafe",
        rules: ["FQDNNetworkPolicy shop/web egress[1]"], endpoints: ["shop/cart-0"])

    private static let wildcard = DomainRow(
        pattern: "*.shop.test", field: "pattern", policy: "0badcafe",
        rules: ["FQDNNetworkPolicy shop/web egress[0]"], endpoints: ["shop/cart-0"])

    func domain(named name: String) throws -> DomainExplanation {
        if name == "bob" { return DomainExplanation(name: name, matches: [Self.refused], learned: []) }
        guard name == "api.shop.test" else { return DomainExplanation(name: name, matches: [], learned: []) }
        let addresses = [4_000_000_000, 0].map {
            HeldAddress(address: "198.51.100.1", expires: Timestamp.text(Self.now + $0), remaining: $0)
        }
        return DomainExplanation(
            name: name, matches: [Self.wildcard],
            learned: [
                .init(policy: "0badcafe", isAdmitted: true, endpoints: ["shop/cart-0"], addresses: addresses),
                .init(policy: "00c0ffee", isAdmitted: false, endpoints: ["shop/db-0"], addresses: [addresses[0]]),
            ])
    }

    func connections() throws -> [ConnectionRow] {
        if isEmpty { return [] }
        return [
            ConnectionRow(
                ipProtocol: "UDP", source: .init(address: "fd00:10:244::5", port: 4000, pod: "shop/cart-0"),
                destination: .init(address: "fd00::1", port: 53), service: nil, state: .halfOpen,
                openedAgo: 9_000_000_000, seenAgo: 8_000_000_000,
                counters: .init(forwardPackets: 2, forwardBytes: 180, reversePackets: 0, reverseBytes: 0),
                egressRule: nil, ingressRule: nil, masqueradedPort: 61005),
            ConnectionRow(
                ipProtocol: "TCP", source: .init(address: "10.244.0.6", port: 40_000, pod: "shop/front-7d9f"),
                destination: .init(address: "10.244.0.5", port: 8080, pod: "shop/cart-0"),
                service: "shop/cart:http", state: .established, openedAgo: 185_000_000_000, seenAgo: 20_000_000,
                counters: .init(
                    forwardPackets: 10, forwardBytes: 1536, reversePackets: 900, reverseBytes: 20_971_520),
                egressRule: nil, ingressRule: "NetworkPolicy/shop/cart/ingress/0"),
        ]
    }

    func maps() throws -> [MapRow] {
        [
            MapRow(name: "endpoints", type: "array", keyBytes: 4, valueBytes: 72, entries: nil, maximumEntries: 1024),
            MapRow(
                name: "services", type: "hash", keyBytes: 24, valueBytes: 16, entries: 2, maximumEntries: 65_536),
        ]
    }

    func dump(_ map: String) throws -> [MapEntryRow] {
        guard map == "services" else { throw CommandError.noMap(map) }
        return [MapEntryRow(key: "TCP 10.96.0.10:80", value: "slots 0-4 service 1")]
    }

    func flows(last: Int, _ filter: FlowFilter) throws -> [Flow] {
        Array([Self.flow(port: 80), Self.flow(port: 443)].filter(filter.matches).suffix(last))
    }

    static func flow(port: UInt16) -> Flow {
        let tuple = FlowTuple(
            source: SocketAddress(IPAddress(v4: 0x0af4_0006), 40_000),
            destination: SocketAddress(IPAddress(v4: 0x0af4_0005), port), ipProtocol: .tcp)
        var flow = Flow(
            time: now, kind: .denied, verdict: .dropped, direction: .ingress, tuple: tuple, node: "node-a")
        flow.source = Peer(address: tuple.source.address, kind: .pod, namespace: "shop", name: "front-7d9f")
        flow.ingressRule = RuleReference("NetworkPolicy/shop/cart/ingress/isolation")
        flow.dropReason = "policy_isolated"
        return flow
    }
}

/// An agent with made-up answers and a real store of flows.
final class FakeAgent: AgentHandler {
    let hub = FlowHub(capacity: 1000)
    let hello = AgentHello(version: "1.2.3", node: "node-a")
    let drift: [DriftItem]
    let failure: AgentError?
    let answers: @Sendable (PolicyQuestion) throws -> [PolicyPath]
    let details: PolicyDetails

    init(
        drift: [DriftItem] = [], failure: AgentError? = nil, details: PolicyDetails = PolicyDetails(),
        answers: @escaping @Sendable (PolicyQuestion) throws -> [PolicyPath] = { _ in [] }
    ) {
        self.drift = drift
        self.failure = failure
        self.answers = answers
        self.details = details
    }

    func status() async throws -> AgentStatus {
        if let failure { throw failure }
        var status = AgentStatus(
            version: "1.2.3", node: "node-a", started: Timestamp.text(FakeDatapath.now - 125_000_000_000),
            redirectMode: "peer")
        status.origin = AgentStatus.Origin(
            name: "API server of /etc/config", synced: false, connected: false, failingSince: "2026-03-01T09:13:20Z",
            error: "connection refused")
        status.sources = [
            AgentStatus.Source(kind: "Pod", synced: true, objects: 6),
            AgentStatus.Source(kind: "Service", synced: false, objects: 0, error: "a.yaml: no such file"),
        ]
        status.programmed.endpoints = 2
        status.programmed.attached = 1
        status.programmed.services = 1
        status.programmed.frontends = 2
        status.programmed.backends = 3
        status.programmed.policies = 1
        status.applying.edits = 40
        status.routing = AgentStatus.Routing(
            mode: "vxlan", nodes: 3, routed: 2, entries: 10, device: "apus-vxlan", mtu: 1450)
        status.xdp = [
            AgentStatus.XDP(uplink: "eth0", mode: "native"), AgentStatus.XDP(uplink: "eth1", reason: "it is a veth"),
        ]
        status.evidence.records = 9001
        status.diagnostics = [
            AgentDiagnostic(object: "Service shop/cart", location: "a.yaml, document 2", message: "port is missing")
        ]
        return status
    }

    func verify() async throws -> VerifyReport {
        if let failure { throw failure }
        return VerifyReport(
            tables: [.init(name: "services", checked: 20), .init(name: "slots", checked: 5)], drift: drift)
    }

    func explain(_ question: PolicyQuestion) async throws -> [PolicyPath] {
        if let failure { throw failure }
        return try answers(question)
    }

    func policies(_ selection: PolicySelection) async throws -> PolicyDetails {
        if let failure { throw failure }
        return details
    }

    func trace(_ question: ServiceQuestion) async throws -> ServiceTrace {
        if let failure { throw failure }
        let endpoint = ServiceTrace.Endpoint(
            address: "10.244.1.9", port: 8080, slice: "cart-1", node: "node-b", zone: "south",
            exclusion: .hintedForOtherZones)
        let serving = ServiceTrace.Endpoint(
            address: "10.244.0.5", port: 8080, slice: "cart-1", node: "node-a", zone: "north", isClient: true)
        let isServed = question.port == 80
        return ServiceTrace(
            client: question.client, frontend: "\(question.ipProtocol) \(question.address):\(question.port)",
            service: "shop/cart:http", choice: isServed ? .sameZone : .none, node: "node-a", zone: "north",
            affinitySeconds: 600, endpoints: isServed ? [serving, endpoint] : [])
    }

    func attach(_ attachment: PodAttachment) async throws {}

    func check(_ attachment: PodAttachment) async throws {}

    func detach(_ key: AttachmentKey) async throws {}

    func collect(_ collection: AttachmentCollection) async throws {}

    func ready() async throws {}

    func flows(_ query: FlowQuery, send: (Flow) async throws -> Void) async throws {
        if let failure { throw failure }
        if query.follow {
            for await flow in hub.follow(query.filter, last: query.last, capacity: 8) { try await send(flow) }
        } else {
            for flow in hub.last(query.last, query.filter) { try await send(flow) }
        }
    }
}

/// Runs an agent's server around a test.
func withAgent(_ agent: FakeAgent, _ body: (String) async throws -> Void) async throws {
    let directory = "/tmp/apus-cli-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    var limits = AgentServerLimits()
    limits.requestTime = .seconds(120)
    let server = AgentServer(path: directory + "/apus.sock", handler: agent, limits: limits)
    try await withThrowingTaskGroup { group in
        let (ready, signal) = AsyncStream.makeStream(of: Void.self)
        group.addTask {
            defer { signal.finish() }
            try await server.run { signal.yield() }
        }
        var readiness = ready.makeAsyncIterator()
        if await readiness.next() != nil { try await body(directory + "/apus.sock") }
        group.cancelAll()
        try await group.waitForAll()
    }
}
