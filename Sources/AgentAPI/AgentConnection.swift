internal import Flows
internal import NIOCore

/// The server's side of one connection.
struct AgentConnection: Sendable {
    let channel: any Channel
    let handler: any AgentHandler
    let attachments: AttachmentShare
    let writeTime: Duration

    /// Answers a request and closes the connection.
    func answer(_ event: LineEvent) async {
        do {
            let request = try Self.request(in: event)
            try await send(AgentResponse(hello: handler.hello))
            try await serve(request)
            try await send(AgentResponse(end: true))
        } catch let error as AgentError {
            return await refuse(error)
        } catch is CancellationError, is ChannelError, is IOError {
            // The client has left or was cut off, or the server stops: there is nobody to tell.
        } catch {
            return await refuse(AgentError(.failed, "the agent failed: \(error)"))
        }
        close()
    }

    /// Tells the client why it gets no answer and closes the connection.
    func refuse(_ error: AgentError) async {
        try? await send(AgentResponse(error: error))
        close()
    }

    /// Closes the connection; whatever waits for it ends.
    func close() { channel.close(promise: nil) }

    private static func request(in event: LineEvent) throws(AgentError) -> AgentRequest {
        switch event {
        case .tooLong: throw AgentError(.badRequest, "the request is too long")
        case .timedOut: throw AgentError(.timedOut, "no request came in time")
        case .line(let line):
            struct Version: Decodable {
                var `protocol`: Int
            }
            guard let version = try? LineCoding.value(Version.self, in: line).protocol else {
                throw AgentError(.badRequest, "the request is no JSON object with a protocol version")
            }
            guard version == AgentProtocol.version else {
                throw .incompatible(client: version, server: AgentProtocol.version)
            }
            do {
                return try LineCoding.value(AgentRequest.self, in: line)
            } catch {
                throw AgentError(.badRequest, "the agent does not understand the request")
            }
        }
    }

    private func serve(_ request: AgentRequest) async throws {
        switch request.kind {
        case .version: break
        case .status: try await send(AgentResponse(status: handler.status()))
        case .verify: try await send(AgentResponse(verify: handler.verify()))
        case .explain:
            guard let question = request.question else {
                throw AgentError(.badRequest, "the request has no question")
            }
            try await send(AgentResponse(paths: handler.explain(question)))
        case .policy:
            guard let selection = request.policy else { throw AgentError(.badRequest, "the request names no policy") }
            try await send(AgentResponse(policies: handler.policies(selection)))
        case .trace:
            guard let question = request.service else {
                throw AgentError(.badRequest, "the request names no Service")
            }
            try await send(AgentResponse(trace: handler.trace(question)))
        case .attach, .check, .detach, .collect, .ready: try await serveAttachments(request)
        case .flows:
            try await handler.flows(request.query ?? FlowQuery()) { flow in
                try Task.checkCancellation()
                try await send(AgentResponse(flow: flow))
            }
        }
    }

    /// What a CNI plugin asks: the end of the answer is all that it says.
    private func serveAttachments(_ request: AgentRequest) async throws {
        switch (request.kind, request.attachment, request.key, request.collection) {
        case (.attach, let attachment?, _, _): try await attachments.hold { try await handler.attach(attachment) }
        case (.check, let attachment?, _, _): try await handler.check(attachment)
        case (.detach, _, let key?, _): try await handler.detach(key)
        case (.collect, _, _, let collection?): try await handler.collect(collection)
        case (.ready, _, _, _): try await handler.ready()
        default: throw AgentError(.badRequest, "the request does not say what it is about")
        }
    }

    /// Sends one line and waits until the socket has taken it; a client that does not read in time is cut off.
    private func send(_ response: AgentResponse) async throws {
        let line = try LineCoding.line(response)
        let channel = channel
        let timer = channel.eventLoop.scheduleTask(in: TimeAmount(writeTime)) { channel.close(promise: nil) }
        defer { timer.cancel() }
        try await channel.writeAndFlush(line).get()
    }
}
