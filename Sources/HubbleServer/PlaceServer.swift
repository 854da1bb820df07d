internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import Synchronization

/// The server of one place.
///
/// What a transport is made with stays as it is for as long as that serves: for something else, another server begins on
/// the same socket and takes who connects from then on, and the one before ends. Its streams end with it: who was let in
/// as things were has to ask again.
final class PlaceServer: Sendable {
    typealias Server = GRPCServer<HTTP2ServerTransport.Posix>

    /// Where it listens.
    let place: String
    private let first: Server
    private let followers: AsyncStream<Server>
    private let continuation: AsyncStream<Server>.Continuation
    /// The first one and its followers; the last is the one that listens.
    private let servers: Mutex<[Server]>
    /// What each of them has a descriptor of; nil once it is stopped.
    private let socket: Mutex<ListeningSocket?>

    /// - Parameters:
    ///   - server: the first one, with a descriptor of its own.
    ///   - socket: what it listens on.
    init(_ place: String, _ server: Server, on socket: consuming ListeningSocket) {
        self.place = place
        self.socket = Mutex(socket)
        first = server
        (followers, continuation) = AsyncStream.makeStream()
        servers = Mutex([server])
    }

    /// Serves until it is stopped, or fails as its first server does.
    func serve() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { [first] in try await first.serve() }
            for await server in followers {
                // Why one can't begin is told to who wanted it to.
                group.addTask { try? await server.serve() }
            }
        }
    }

    /// Has another server begin on the socket. Fails when it can't; the one before goes on then.
    func replace(with make: (_ descriptor: Int) -> Server) async throws {
        let descriptor = try socket.withLock { try $0?.duplicate() }
        guard let descriptor else { throw CancellationError() }
        let next = make(descriptor)
        guard case .enqueued = continuation.yield(next) else { throw CancellationError() }
        _ = try await next.listeningAddress
        let former = servers.withLock { servers in
            defer { servers = [next] }
            return servers
        }
        for server in former { server.beginGracefulShutdown() }
    }

    /// Stops listening.
    func stop() {
        continuation.finish()
        socket.withLock { $0 = nil }
        for server in servers.withLock({ $0 }) {
            Task {
                // One that has yet to register its socket would find it closed, which NIO takes for a mistake.
                _ = try? await server.listeningAddress
                server.beginGracefulShutdown()
            }
        }
    }
}
