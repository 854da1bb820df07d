internal import Glibc
package import NIOCore

/// Probes by which the kernel finds out that the other end of a quiet connection is gone.
///
/// A watch of which nothing changes is silent for minutes although all is well, so silence tells nothing. An end that
/// lives answers the probes, whatever its server does; one that is dead or can't be reached is noticed by them.
package struct Keepalive: Sendable, Hashable {
    /// How long a connection is quiet before the first probe, in seconds.
    package var idleSeconds = 5
    /// The seconds between two probes.
    package var intervalSeconds = 2
    /// How many probes in a row stay without an answer before the connection is closed.
    package var probes = 3

    package init() {}

    /// After how many seconds without a sign of life a connection is closed. The probes say so when nothing was sent;
    /// what was sent and never acknowledged would else be sent again for a quarter of an hour (`tcp_retries2`).
    package var deadSeconds: Int { idleSeconds + intervalSeconds * probes }

    /// Has the kernel send the probes on a TCP connection.
    package func set(on channel: any Channel) -> EventLoopFuture<Void> {
        let options: [(ChannelOptions.Types.SocketOption, Int)] = [
            (.init(level: .socket, name: .so_keepalive), 1), (Self.tcp(TCP_KEEPIDLE), idleSeconds),
            (Self.tcp(TCP_KEEPINTVL), intervalSeconds), (Self.tcp(TCP_KEEPCNT), probes),
            (Self.tcp(TCP_USER_TIMEOUT), deadSeconds * 1000),
        ]
        return .andAllSucceed(options.map { channel.setOption($0, value: $1) }, on: channel.eventLoop)
    }

    private static func tcp(_ name: CInt) -> ChannelOptions.Types.SocketOption {
        .init(level: .tcp, name: NIOBSDSocket.Option(rawValue: name))
    }
}
