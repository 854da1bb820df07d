import Addressing
import AgentAPI
import Flows
import Foundation
import Synchronization
import TestSupport
import Testing

/// An agent that notes what it is asked about attachments.
private final class NotingAgent: AgentHandler {
    let hello = AgentHello(version: "1.2.3", node: "node-a")
    let failure: AgentError?
    private let noted = Mutex<[String]>([])

    init(failure: AgentError? = nil) { self.failure = failure }

    var notes: [String] { noted.withLock { $0 } }

    private func note(_ text: String) throws {
        noted.withLock { $0.append(text) }
        if let failure { throw failure }
    }

    func attach(_ attachment: PodAttachment) async throws { try note("attach \(attachment)") }
    func check(_ attachment: PodAttachment) async throws { try note("check \(attachment)") }
    func detach(_ key: AttachmentKey) async throws { try note("detach \(key)") }
    func collect(_ collection: AttachmentCollection) async throws { try note("collect \(collection)") }
    func ready() async throws { try note("ready") }

    func status() async throws -> AgentStatus { throw AgentError(.failed, "not asked for here") }
    func verify() async throws -> VerifyReport { VerifyReport() }
    func explain(_ question: PolicyQuestion) async throws -> [PolicyPath] { [] }
    func policies(_ selection: PolicySelection) async throws -> PolicyDetails { PolicyDetails() }
    func trace(_ question: ServiceQuestion) async throws -> ServiceTrace {
        throw AgentError(.notFound, "not asked for here")
    }
    func flows(_ query: FlowQuery, send: (Flow) async throws -> Void) async throws {}
}

/// The program itself, with the agent's own server at the other end.
@Suite struct AgentTests {
    private static let previous = """
        {"cniVersion":"1.1.0","interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"/x"}],\
        "ips":[{"interface":1,"address":"10.244.1.5/24"}]}
        """

    private static let key = AttachmentKey(network: "k8s", container: "c0ffee", interface: "eth0")
    private static let attachment = PodAttachment(
        key: key, pod: PodAttachment.Pod(namespace: "shop", name: "web-1", uid: "1-2"),
        addresses: [ip("10.244.1.5")], hostInterfaces: ["veth1"], waitMilliseconds: 120_000)

    private func plugin(_ command: String, socket: String, _ more: String = "") async throws -> ProcessResult {
        let environment = [
            "CNI_COMMAND": command, "CNI_CONTAINERID": "c0ffee", "CNI_NETNS": "/x", "CNI_IFNAME": "eth0",
            "CNI_ARGS": "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=1-2",
        ]
        let input = """
            {"cniVersion":"1.1.0","name":"k8s","type":"apus-cni","socket":"\(socket)","timeout":120,\
            "prevResult":\(Self.previous)\(more)}
            """
        return try await run(
            [try BuiltProducts.path(of: "apus-cni")], input: input, environment: environment, within: .patience)
    }

    private func withServer(_ agent: NotingAgent, _ body: (String) async throws -> Void) async throws {
        let directory = "\(FileManager.default.temporaryDirectory.path)/cni-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let socket = "\(directory)/s"
        var limits = AgentServerLimits()
        limits.requestTime = .patience
        let server = AgentServer(path: socket, handler: agent, limits: limits)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            try await eventually("the server to listen") { FileManager.default.fileExists(atPath: socket) }
            try await body(socket)
            group.cancelAll()
        }
    }

    @Test func theAgentReadsWhatThePluginAsks() async throws {
        let agent = NotingAgent()
        try await withServer(agent) { socket in
            let added = try await plugin("ADD", socket: socket)
            #expect(added.succeeded && added.output == Self.previous + "\n", "\(added)")
            for command in ["CHECK", "DEL", "STATUS"] {
                let result = try await plugin(command, socket: socket)
                #expect(result.succeeded && result.output.isEmpty && result.errors.isEmpty, "\(result)")
            }
            let valid = #","cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth1"}]"#
            #expect(try await plugin("GC", socket: socket, valid).succeeded)
        }
        let member = AttachmentCollection.Member(container: "a", interface: "eth1")
        #expect(
            agent.notes == [
                "attach \(Self.attachment)", "check \(Self.attachment)", "detach \(Self.key)", "ready",
                "collect \(AttachmentCollection(network: "k8s", valid: [member]))",
            ])
    }

    @Test func whatTheAgentSaysIsInTheError() async throws {
        try await withServer(NotingAgent(failure: AgentError(.unavailable, "closed: \"no object\""))) { socket in
            let result = try await plugin("ADD", socket: socket)
            #expect(result.status == 1)
            #expect(
                result.output == #"{"cniVersion": "1.1.0", "code": 11, "msg": "apusd: closed: \"no object\""}"# + "\n")
            let deleted = try await plugin("DEL", socket: socket)
            #expect(deleted.succeeded && deleted.errors == "apus-cni: DEL: apusd: closed: \"no object\"\n")
        }
    }

    @Test func anAgentThatIsNotThereIsAnErrorAtOnce() async throws {
        let result = try await plugin("ADD", socket: "/nowhere/apus.sock")
        #expect(result.status == 1 && result.output.contains(#""code": 11"#), "\(result)")
        #expect(result.output.contains("/nowhere/apus.sock: No such file or directory"))
        #expect(try await plugin("DEL", socket: "/nowhere/apus.sock").succeeded)
    }

    @Test func whatIsWrittenForTheAgentIsWhatItWouldWriteItself() throws {
        let data = try JSONEncoder().encode(Self.attachment)
        #expect(try JSONDecoder().decode(PodAttachment.self, from: data) == Self.attachment)
    }
}
