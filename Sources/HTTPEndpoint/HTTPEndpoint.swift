internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// A small HTTP/1.1 server for metrics and health: it answers GET and HEAD from memory.
public struct HTTPEndpoint: Sendable {
    /// Answers a question; HEAD is asked as GET.
    public typealias Handler = @Sendable (HTTPQuestion) async -> HTTPAnswer

    private typealias Client = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    public let address: ListenAddress
    private let listener: NIOAsyncChannel<any Channel, Never>
    private let limits: HTTPLimits

    /// Listens; what connects waits until ``serve(_:)``. Every endpoint must be served or discarded.
    ///
    /// - Parameter flag: the flag that names the address, for the error; nil: no flag does.
    public init(
        _ address: ListenAddress, flag: String?, limits: HTTPLimits = HTTPLimits()
    ) async throws(HTTPEndpointError) {
        self.address = address
        self.limits = limits
        do {
            listener = try await Self.listen(address, idleTime: limits.idleTime)
        } catch {
            let other = flag.map { ", or give another address or an empty one with --\($0)" } ?? ""
            throw HTTPEndpointError(
                description: "can't listen on \(address): \(error); end what listens there\(other)")
        }
    }

    /// The port, also where the address left it to the kernel.
    public var port: Int { listener.channel.localAddress?.port ?? address.port }

    private static func listen(
        _ address: ListenAddress, idleTime: Duration
    ) async throws -> NIOAsyncChannel<any Channel, Never> {
        // What connects is read from when somebody serves it, and is made a `Client` only then: one whose listener is
        // closed meanwhile has nobody to end it, and a `Client` that is let go of without an end is fatal.
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
        @Sendable func prepare(_ channel: any Channel) -> EventLoopFuture<any Channel> {
            channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                try pipeline.addHandler(IdleStateHandler(allTimeout: TimeAmount(idleTime)))
                try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
                try pipeline.addHandler(IdleCloser())
                return channel
            }
        }
        if let host = address.host {
            return try await bootstrap.bind(host: host, port: address.port, childChannelInitializer: prepare)
        }
        do {
            return try await bootstrap.bind(host: "::", port: address.port, childChannelInitializer: prepare)
        } catch let error as IOError where error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL {
            // A kernel without IPv6.
            return try await bootstrap.bind(host: "0.0.0.0", port: address.port, childChannelInitializer: prepare)
        }
    }

    /// Stops listening without having served.
    public func discard() async { try? await listener.executeThenClose { _ in } }

    /// Answers until the task is cancelled.
    public func serve(_ handler: @escaping Handler) async throws {
        let open = OpenConnections()
        try await listener.executeThenClose { clients in
            try await withThrowingDiscardingTaskGroup { group in
                for try await client in clients {
                    let isWelcome = open.count.add(1, ordering: .relaxed).newValue <= limits.connections
                    group.addTask {
                        await Self.serve(client, isWelcome: isWelcome, handler)
                        open.count.subtract(1, ordering: .relaxed)
                    }
                }
            }
        }
    }

    /// Serves one connection; what breaks here is that connection, and nobody is left to tell.
    private static func serve(_ channel: any Channel, isWelcome: Bool, _ handler: Handler) async {
        guard let client = try? await client(of: channel) else { return }
        try? await client.executeThenClose { requests, answers in
            guard isWelcome else { return }
            var head: HTTPRequestHead?
            for try await part in requests {
                switch part {
                case .head(let next): head = next
                case .body: break
                case .end:
                    guard let asked = head else { return }
                    try await write(await answer(asked, handler), to: asked, answers)
                    if !asked.isKeepAlive { return }
                }
            }
        }
    }

    /// Takes up a connection, which has to be closed from here on; fails where it is gone already.
    private static func client(of channel: any Channel) async throws -> Client {
        try await channel.eventLoop.submit {
            guard channel.isActive else { throw ChannelError.ioOnClosedChannel }
            let client = try Client(wrappingChannelSynchronously: channel)
            try? channel.syncOptions?.setOption(.autoRead, value: true)
            return client
        }.get()
    }

    private static func answer(_ head: HTTPRequestHead, _ handler: Handler) async -> HTTPAnswer {
        guard head.method == .GET || head.method == .HEAD else { return .notAllowed }
        let path = head.uri.prefix { $0 != "?" }
        let hosts = head.headers["Host"]
        return await handler(
            HTTPQuestion(
                method: "GET", path: String(path), query: String(head.uri.dropFirst(path.count + 1)),
                host: hosts.count == 1 ? hosts.first : nil))
    }

    private static func write(
        _ answer: HTTPAnswer, to head: HTTPRequestHead, _ answers: NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>
    ) async throws {
        let body = ByteBuffer(string: answer.body)
        var headers = HTTPHeaders([
            ("Content-Type", answer.contentType), ("Content-Length", "\(body.readableBytes)"),
            ("X-Content-Type-Options", "nosniff"),
        ])
        for (name, value) in answer.headers { headers.add(name: name, value: value) }
        if answer.status == 405 { headers.add(name: "Allow", value: "GET, HEAD") }
        let status = HTTPResponseStatus(statusCode: answer.status)
        try await answers.write(.head(HTTPResponseHead(version: head.version, status: status, headers: headers)))
        if head.method != .HEAD { try await answers.write(.body(.byteBuffer(body))) }
        try await answers.write(.end(nil))
    }
}

/// How many connections an endpoint has.
private final class OpenConnections: Sendable {
    let count = Atomic<Int>(0)
}

/// Closes a connection that is idle for too long.
private final class IdleCloser: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is IdleStateHandler.IdleStateEvent else { return context.fireUserInboundEventTriggered(event) }
        context.close(promise: nil)
    }
}
