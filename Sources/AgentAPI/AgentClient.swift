internal import NIOCore
internal import NIOPosix

public import Flows

/// Asks the agent; every question is a connection of its own.
public struct AgentClient: Sendable {
    /// The bounds of a client.
    public struct Limits: Sendable {
        /// The longest line of an answer, in bytes.
        public var lineBytes = 16 * 1024 * 1024
        /// How long connecting and the first line may take.
        public var helloTime: Duration = .seconds(5)
        /// How long the agent may work on an answer (not on a stream of flows).
        public var answerTime: Duration = .seconds(60)

        public init() {}
    }

    private let path: String
    private let limits: Limits

    /// A client of the agent that listens on the socket at `path`.
    public init(path: String = AgentProtocol.defaultSocketPath, limits: Limits = Limits()) {
        self.path = path
        self.limits = limits
    }

    /// Who is there.
    public func hello() async throws(AgentError) -> AgentHello {
        try await one(AgentRequest(kind: .version)) { $0.hello }
    }

    /// How the agent is doing.
    public func status() async throws(AgentError) -> AgentStatus {
        try await one(AgentRequest(kind: .status)) { $0.status }
    }

    /// Compares the data path with what should be in it.
    public func verify() async throws(AgentError) -> VerifyReport {
        try await one(AgentRequest(kind: .verify)) { $0.verify }
    }

    /// What the policies of this node say of a packet, for each way that it can take.
    public func explain(_ question: PolicyQuestion) async throws(AgentError) -> [PolicyPath] {
        try await one(AgentRequest(kind: .explain, question: question)) { $0.paths }
    }

    /// The policy objects of a name, and the compiled policy of an id; empty where there is none.
    public func policies(_ selection: PolicySelection) async throws(AgentError) -> PolicyDetails {
        try await one(AgentRequest(kind: .policy, policy: selection)) { $0.policies }
    }

    /// Where a connection of a pod to a Service can end, and why not elsewhere.
    public func trace(_ question: ServiceQuestion) async throws(AgentError) -> ServiceTrace {
        try await one(AgentRequest(kind: .trace, service: question)) { $0.trace }
    }

    /// Hands over flows one by one, until the agent has no more; a query that follows has no end but cancellation.
    ///
    /// - Throws: ``AgentError``, `CancellationError`, or what `receive` throws.
    public func flows(_ query: FlowQuery, _ receive: (Flow) async throws -> Void) async throws {
        let request = AgentRequest(kind: .flows, query: query)
        // No time-out: a reader may look at a pager for long, and then nothing is read.
        try await exchange(request, laterLines: nil) { response in
            if let flow = response.flow { try await receive(flow) }
        }
    }

    /// Asks a question with one answer.
    private func one<Answer: Sendable>(
        _ request: AgentRequest, _ pick: (AgentResponse) -> Answer?
    ) async throws(AgentError) -> Answer {
        var answer: Answer?
        do {
            try await exchange(request, laterLines: limits.answerTime) { answer = pick($0) ?? answer }
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError(.broken, "the connection to the agent at \(path) broke: \(error)")
        }
        guard let answer else { throw .cut }
        return answer
    }

    private typealias Connection = NIOAsyncChannel<LineEvent, Never>

    private func exchange(
        _ request: AgentRequest, laterLines: Duration?, _ receive: (AgentResponse) async throws -> Void
    ) async throws {
        let connection = try await connect(laterLines: laterLines)
        try await connection.executeThenClose { events in
            try await connection.channel.writeAndFlush(LineCoding.line(request)).get()
            for try await event in events {
                let response = try Self.response(in: event)
                if let error = response.error { throw error }
                if let hello = response.hello, hello.protocolVersion != AgentProtocol.version {
                    throw AgentError.incompatible(client: AgentProtocol.version, server: hello.protocolVersion)
                }
                try await receive(response)
                if response.end == true { return }
            }
            try Task.checkCancellation()
            throw AgentError.cut
        }
    }

    private func connect(laterLines: Duration?) async throws(AgentError) -> Connection {
        let lineLimits = LineLimits(bytes: limits.lineBytes, firstLine: limits.helloTime, laterLines: laterLines)
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(TimeAmount(limits.helloTime))
                .connect(unixDomainSocketPath: path) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(LineReader(limits: lineLimits))
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
        } catch let error as IOError {
            throw ConnectFailure(errno: error.errnoCode).error(path)
        } catch {
            throw AgentError(.broken, "can't connect to the agent at \(path): \(error)")
        }
    }

    private static func response(in event: LineEvent) throws(AgentError) -> AgentResponse {
        switch event {
        case .tooLong: throw AgentError(.broken, "a line of the agent's answer is too long")
        case .timedOut: throw .slow
        case .line(let line):
            do {
                return try LineCoding.value(AgentResponse.self, in: line)
            } catch {
                throw AgentError(.broken, "the agent's answer is not understood: use apus and apusd of one release")
            }
        }
    }
}
