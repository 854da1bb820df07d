internal import NIOCore
internal import NIOPosix
public import NIOSSL
internal import Synchronization

/// A request.
public struct HTTPRequest: Sendable {
    /// `GET`, `POST`, `PATCH`.
    public var method: String
    /// The path without its query.
    public var path: String
    /// The query's values, unescaped.
    public var query: [String: String]
    /// The headers, names in lower case.
    public var headers: [String: String]
    /// What was sent with it.
    public internal(set) var body: [UInt8] = []

    /// Reads the head of a request; nil when it is none.
    init?(_ head: String) {
        let lines = head.split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count == 3 else { return nil }
        method = String(words[0])
        let parts = words[1].split(separator: "?", maxSplits: 1)
        path = String(parts[0])
        query = [:]
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map(Self.unescape)
            query[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
        headers = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
    }

    /// How long the body is.
    var length: Int { headers["content-length"].flatMap { Int($0) } ?? 0 }

    private static func unescape(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Where the bytes of an answer go.
public struct HTTPWriter: Sendable {
    let channel: any Channel

    /// Writes bytes as they are.
    public func write(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    /// Writes the head of an answer in chunks.
    public func begin(_ headers: [String] = []) async throws {
        let lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked"] + headers
        try await write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
    }

    /// Writes a chunk.
    public func chunk(_ text: String) async throws {
        let bytes = Array(text.utf8)
        try await write(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8))
    }

    /// Writes the last chunk.
    public func end() async throws { try await write(Array("0\r\n\r\n".utf8)) }

    /// Writes a whole answer.
    public func answer(
        _ status: Int, _ body: String, type: String = "application/json", headers: [String] = []
    ) async throws {
        let lines =
            ["HTTP/1.1 \(status) Status", "Content-Type: \(type)", "Content-Length: \(body.utf8.count)"] + headers
        try await write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8))
    }
}

/// The end of a connection, wherever the answer is.
public struct CutConnection: Error {
    public init() {}
}

/// An HTTP/1.1 server for tests that gives its answers byte by byte, so that they can be recorded ones or end anywhere.
public struct HTTPServer: Sendable {
    /// Answers a request; an error closes the connection.
    public typealias Handler = @Sendable (HTTPRequest, HTTPWriter) async throws -> Void

    /// Serves until `body` returns; then all connections are closed.
    /// - Parameter body: gets the port.
    public static func run<Result>(
        host: String = "127.0.0.1", port: Int = 0, tls: NIOSSLContext? = nil, handler: @escaping Handler,
        _ body: (Int) async throws -> Result
    ) async throws -> Result {
        let connections = Connections()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    if let tls { try child.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try child.pipeline.syncOperations.addHandler(RequestReader(handler))
                    connections.add(child)
                }
            }
            .bind(host: host, port: port).get()
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(channel.localAddress?.port ?? port)) } catch { result = .failure(error) }
        try? await channel.close()
        for connection in connections.all { try? await connection.close() }
        return try result.get()
    }
}

/// The connections that a server has had; closing one again does nothing.
private final class Connections: Sendable {
    private let channels = Mutex<[any Channel]>([])

    var all: [any Channel] { channels.withLock { $0 } }

    func add(_ channel: any Channel) { channels.withLock { $0.append(channel) } }
}

/// Reads the requests of one connection and has them answered one after the other. The other side's end cancels that.
private final class RequestReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let handler: HTTPServer.Handler
    private var bytes: [UInt8] = []
    private var requests: AsyncStream<HTTPRequest>.Continuation?
    private var task: Task<Void, Never>?

    init(_ handler: @escaping HTTPServer.Handler) {
        self.handler = handler
    }

    func channelActive(context: ChannelHandlerContext) {
        let (stream, continuation) = AsyncStream.makeStream(of: HTTPRequest.self)
        requests = continuation
        let (channel, handler) = (context.channel, handler)
        task = Task {
            do {
                for await request in stream { try await handler(request, HTTPWriter(channel: channel)) }
            } catch {}
            try? await channel.close()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes += unwrapInboundIn(data).readableBytesView
        while let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
            guard var request = HTTPRequest(String(decoding: bytes[..<end.lowerBound], as: UTF8.self)) else {
                return context.close(promise: nil)
            }
            let rest = bytes[end.upperBound...]
            guard rest.count >= request.length else { return }
            request.body = Array(rest.prefix(request.length))
            requests?.yield(request)
            bytes = Array(rest.dropFirst(request.length))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        requests?.finish()
        task?.cancel()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
