internal import NIOCore
internal import NIOPosix
internal import Synchronization

public import Flows

/// What the agent answers.
public protocol AgentHandler: Sendable {
    /// Who answers; sent at the head of every answer.
    var hello: AgentHello { get }

    /// How the agent is doing.
    func status() async throws -> AgentStatus

    /// Compares the data path with what should be in it.
    func verify() async throws -> VerifyReport

    /// What the policies of this node say of a packet, for each way that it can take; throws ``AgentError/Code/notFound``
    /// when an end is not known.
    func explain(_ question: PolicyQuestion) async throws -> [PolicyPath]

    /// The policy objects of a name, and the compiled policy of an id; empty where there is none.
    func policies(_ selection: PolicySelection) async throws -> PolicyDetails

    /// Where a connection of a pod of this node to a Service can end; throws ``AgentError/Code/notFound`` when the pod or
    /// the Service is not known.
    func trace(_ question: ServiceQuestion) async throws -> ServiceTrace

    /// Covers a pod's interface, and answers when its policy is in force. Throws ``AgentError/Code/unavailable`` when it
    /// is not so in time; from then on the interface is closed.
    func attach(_ attachment: PodAttachment) async throws

    /// Whether an interface is as `attach` left it; throws when it is not.
    func check(_ attachment: PodAttachment) async throws

    /// Forgets an interface that is going away; nothing happens where it is not known.
    func detach(_ key: AttachmentKey) async throws

    /// Forgets the interfaces of a network that are no more.
    func collect(_ collection: AttachmentCollection) async throws

    /// Throws ``AgentError/Code/unavailable`` while `attach` would have to wait for the agent itself.
    func ready() async throws

    /// Sends the flows of a query one after the other; `send` waits for a slow reader, so what is behind it must be
    /// bounded, as a ``FlowHub``'s followers are. The task is cancelled when the client leaves.
    func flows(_ query: FlowQuery, send: (Flow) async throws -> Void) async throws
}

/// The bounds that keep clients from hurting the agent.
public struct AgentServerLimits: Sendable {
    /// How many clients are served at once; as many again are told that the agent is busy, the rest is cut off.
    public var connections = 128
    /// How many of them may be CNI plugins that wait for a policy; the others are left for those who look what they
    /// wait for, and for plugins whose pods end. A plugin beyond is told that the agent is busy, and asks again.
    public var waitingAttachments = 96
    /// The longest request, in bytes.
    public var requestBytes = 64 * 1024
    /// How long a client may take to send its request.
    public var requestTime: Duration = .seconds(5)
    /// How long a client may take to read one line, a reader who looks at a pager included; then it is cut off.
    public var writeTime: Duration = .seconds(300)

    public init() {}
}

/// Serves ``AgentProtocol`` on a Unix socket.
public final class AgentServer: Sendable {
    private let file: SocketFile
    private let handler: any AgentHandler
    private let limits: AgentServerLimits
    private let connections = Atomic<Int>(0)
    private let attachments: AttachmentShare

    /// A server that does not listen yet.
    ///
    /// - Parameter path: the socket's path; its directory must exist.
    public init(path: String, handler: any AgentHandler, limits: AgentServerLimits = AgentServerLimits()) {
        file = SocketFile(path: path)
        self.handler = handler
        self.limits = limits
        attachments = AttachmentShare(limits.waitingAttachments)
    }

    /// Fails when a server could not listen on a path, as far as that can be told before it does.
    ///
    /// - Throws: ``AgentError`` when somebody else listens there, or when it is no socket's.
    public static func expectFree(path: String) async throws(AgentError) {
        try await SocketFile(path: path).makeFree(MultiThreadedEventLoopGroup.singleton)
    }

    /// Fails when somebody listens on a path.
    ///
    /// - Throws: ``AgentError``.
    public static func expectDeserted(path: String) async throws(AgentError) {
        try await SocketFile(path: path).expectDeserted(MultiThreadedEventLoopGroup.singleton)
    }

    /// How many clients are connected now.
    public var openConnections: Int { connections.load(ordering: .relaxed) }

    /// Listens and serves until the task is cancelled; then it closes all connections and removes the socket.
    ///
    /// - Parameter ready: called once clients can connect.
    /// - Throws: ``AgentError`` when the socket can't be made or somebody else listens on it.
    public func run(ready: @Sendable () -> Void = {}) async throws(AgentError) {
        let listener = try await listen()
        let identity = file.identity
        ready()
        let failure: AgentError?
        do {
            try await listener.executeThenClose { clients in try await serve(clients) }
            failure = nil
        } catch {
            failure = Task.isCancelled ? nil : AgentError(.socket, "the socket \(file.path) failed: \(error)")
        }
        if file.identity == identity { file.remove() }
        if let failure { throw failure }
    }

    private typealias Client = NIOAsyncChannel<LineEvent, Never>

    private func listen() async throws(AgentError) -> NIOAsyncChannel<Client, Never> {
        let group = MultiThreadedEventLoopGroup.singleton
        try await file.makeFree(group)
        let lineLimits = LineLimits(bytes: limits.requestBytes, firstLine: limits.requestTime, maximumLines: 1)
        let listener: NIOAsyncChannel<Client, Never>
        do {
            listener = try await ServerBootstrap(group: group).bind(unixDomainSocketPath: file.temporaryPath) {
                channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LineReader(limits: lineLimits))
                    return try Client(wrappingChannelSynchronously: channel)
                }
            }
        } catch {
            throw AgentError(.socket, "can't listen on \(file.path): \(error)")
        }
        do throws(AgentError) {
            try file.publish()
        } catch {
            try? await listener.channel.close()
            throw error
        }
        return listener
    }

    private func serve(_ clients: NIOAsyncChannelInboundStream<Client>) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for try await client in clients {
                let open = connections.add(1, ordering: .relaxed).newValue
                group.addTask {
                    await self.serve(client, order: open)
                    self.connections.subtract(1, ordering: .relaxed)
                }
            }
        }
    }

    /// Serves one client, the `order`th of those that are connected; ends when the answer is out, when the client
    /// leaves, or when the server stops.
    private func serve(_ client: Client, order: Int) async {
        let connection = AgentConnection(
            channel: client.channel, handler: handler, attachments: attachments, writeTime: limits.writeTime)
        await withTaskCancellationHandler {
            // What breaks here is the client's connection: nobody is left to tell.
            try? await client.executeThenClose { events in
                if order > 2 * limits.connections { return }
                var iterator = events.makeAsyncIterator()
                guard let request = try await iterator.next() else { return }
                // Only now: a client that still writes would lose the refusal with its broken connection.
                if order > limits.connections { return await connection.refuse(.busy) }
                try await withThrowingDiscardingTaskGroup { group in
                    group.addTask { await connection.answer(request) }
                    // The reader passes one line only: what ends this wait is the end of the connection.
                    while try await iterator.next() != nil {}
                    group.cancelAll()
                }
            }
        } onCancel: {
            connection.close()
        }
    }
}
