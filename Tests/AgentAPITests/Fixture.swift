import Addressing
import AgentAPI
import Flows
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// A number that tasks share.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }

    func increment() { number.add(1, ordering: .relaxed) }

    func decrement() { number.subtract(1, ordering: .relaxed) }
}

/// An agent with made-up answers and a real store of flows.
final class FakeAgent: AgentHandler {
    let hub = FlowHub(capacity: 1000)
    let hello = AgentHello(version: "1.2.3", node: "node-a")
    let running = Counter()
    private let failure: AgentError?

    init(failure: AgentError? = nil) { self.failure = failure }

    func status() async throws -> AgentStatus {
        if let failure { throw failure }
        var status = AgentStatus(
            version: "1.2.3", node: "node-a", started: Timestamp.text(0), redirectMode: "peer")
        status.sources = [AgentStatus.Source(kind: "Pod", synced: true, objects: 6)]
        status.diagnostics = [
            AgentDiagnostic(object: "Service shop/cart", location: "a.yaml, document 2", message: "no")
        ]
        return status
    }

    func verify() async throws -> VerifyReport {
        VerifyReport(
            tables: [VerifyReport.Table(name: "services", checked: 20_000)],
            drift: (0..<20_000).map { DriftItem(table: "services", key: "key \($0)", kind: .missing, desired: "x") })
    }

    func explain(_ question: PolicyQuestion) async throws -> [PolicyPath] {
        if let failure { throw failure }
        let rule = PolicyJudgement.Rule(
            rule: "ClusterNetworkPolicy guard ingress[0]", ruleName: "no \"visitors\"", tier: .admin, action: "deny",
            admits: .init(peers: "every peer", ports: "TCP \(question.port?.description ?? "")"),
            admitsPeer: !question.isReceived,
            admitsPort: true)
        var path = PolicyPath(
            source: .init(address: "\(question.source)"), destination: .init(address: "\(question.destination)"),
            ipProtocol: "\(question.ipProtocol)", port: 80)
        path.ingress = PolicyJudgement(allowed: false, reason: .rule, rules: [rule])
        return [path]
    }

    func policies(_ selection: PolicySelection) async throws -> PolicyDetails {
        if let failure { throw failure }
        let rule = PolicyDetails.Rule(
            rule: "ingress[0]", ruleName: "web", action: "allow", peers: "every peer", ports: "TCP 80")
        let object = PolicyDetails.Object(
            policy: "NetworkPolicy \(selection.namespace ?? "-")/\(selection.name)", tier: .networkPolicy,
            subject: "pods {} in namespace shop", isolates: ["ingress"], directions: ["ingress"], rules: [rule],
            endpoints: [PolicyDetails.Endpoint(pod: "shop/web", ingress: "00c0ffee")])
        return PolicyDetails(objects: [object], compiled: [PolicyDetails.Bit(peers: "every peer", ports: "TCP 80")])
    }

    func trace(_ question: ServiceQuestion) async throws -> ServiceTrace {
        if let failure { throw failure }
        let endpoint = ServiceTrace.Endpoint(
            address: "10.244.0.5", port: 8080, slice: "cart-1", node: "node-b", zone: "south",
            exclusion: .hintedForOtherZones)
        return ServiceTrace(
            client: question.client, frontend: "\(question.ipProtocol) \(question.address):\(question.port)",
            service: "shop/cart:http", choice: .sameZone, node: "node-a", zone: "north", endpoints: [endpoint])
    }

    /// Waits until it is cancelled.
    func attach(_ attachment: PodAttachment) async throws {
        running.increment()
        defer { running.decrement() }
        try await Task.sleep(for: .seconds(3600))
    }

    func check(_ attachment: PodAttachment) async throws {}

    func detach(_ key: AttachmentKey) async throws {}

    func collect(_ collection: AttachmentCollection) async throws {}

    func ready() async throws {}

    func flows(_ query: FlowQuery, send: (Flow) async throws -> Void) async throws {
        running.increment()
        defer { running.decrement() }
        if query.follow {
            for await flow in hub.follow(query.filter, last: query.last, capacity: 8) { try await send(flow) }
        } else {
            for flow in hub.last(query.last, query.filter) { try await send(flow) }
        }
    }

    func produce(_ count: Int, port: UInt16 = 80) {
        for _ in 0..<count { hub.append(Self.flow(port: port)) }
    }

    static func flow(port: UInt16) -> Flow {
        let tuple = FlowTuple(
            source: SocketAddress(IPAddress(v4: 0x0af4_0001), 40000),
            destination: SocketAddress(IPAddress(v4: 0x0af4_0002), port), ipProtocol: .tcp)
        return Flow(time: 1, kind: .opened, verdict: .forwarded, direction: .egress, tuple: tuple, node: "node-a")
    }
}

/// A client that waits as long as a busy machine needs.
func patientClient(_ path: String) -> AgentClient {
    var limits = AgentClient.Limits()
    (limits.helloTime, limits.answerTime) = (.patience, .patience)
    return AgentClient(path: path, limits: limits)
}

/// A server's bounds, but with time for a client to ask on a busy machine.
func patientLimits() -> AgentServerLimits {
    var limits = AgentServerLimits()
    limits.requestTime = .patience
    return limits
}

/// Checks that the agent at a path answers.
func expectAnswer(at path: String) async throws {
    let hello = try await patientClient(path).hello()
    #expect(hello.node == "node-a")
}

/// A directory for sockets that goes away with the test.
struct TemporaryDirectory: ~Copyable {
    let path: String

    init() {
        path = "/tmp/apus-api-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        mkdir(path, 0o700)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Runs a server around a test and checks that it ends and leaves nothing.
func withServer(
    _ agent: FakeAgent = FakeAgent(), limits: AgentServerLimits = patientLimits(),
    _ body: (AgentServer, String) async throws -> Void
) async throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/apus.sock"
    let server = AgentServer(path: path, handler: agent, limits: limits)
    try await withRunning(server) { try await body(server, path) }
    #expect(server.openConnections == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
}

/// Runs a server while the body runs.
func withRunning(_ server: AgentServer, _ body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup { group in
        let (ready, signal) = AsyncStream.makeStream(of: Void.self)
        group.addTask {
            defer { signal.finish() }
            try await server.run { signal.yield() }
        }
        var readiness = ready.makeAsyncIterator()
        if await readiness.next() != nil { try await body() }
        group.cancelAll()
        try await group.waitForAll()
    }
}

/// A client without any manners: raw bytes on a blocking socket.
struct RawClient: ~Copyable {
    private let descriptor: CInt

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
        var wait = timeval(tv_sec: Int(Duration.patience.components.seconds), tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
    }

    /// Says that nothing more will be sent.
    func endWriting() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Everything up to the end; at most one read when `once`.
    func receive(once: Bool = false) -> String {
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        repeat {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count <= 0 { break }
            result += chunk.prefix(count)
        } while !once
        return String(decoding: result, as: UTF8.self)
    }
}
