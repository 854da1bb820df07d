package import Kubernetes

/// How an API server is followed.
package struct APISettings: Sendable {
    /// The kinds that are followed.
    package var kinds = ObjectKind.allCases
    /// How patient each of them is.
    package var protocolSettings = ListWatchSettings()
    /// How many objects a page of a list has.
    package var pageSize = 500
    /// How long to wait for a connection, with its handshakes. Meanwhile the kernel asks again each second, so a server
    /// that can be reached again is found as soon as with shorter tries, which one that is far away would never answer.
    package var connectTimeout: Duration = .seconds(3)
    /// How a connection is found to be dead.
    package var keepalive = Keepalive()
    /// How long the server may say nothing before it answers, and within a list. A streaming list that it can't begin, as
    /// its store is away, is refused after 15 s.
    package var silence: Duration = .seconds(20)
    /// How long writing one thing may take.
    package var writeTime: Duration = .seconds(10)
    /// After how many seconds the server shall end a watch; each takes a random time between. Until then a watch may be
    /// silent: of a kind that nobody changes, the first bookmark may be the one shortly before that end.
    package var watchTime: ClosedRange<Int> = 300...600
    /// How late that end may be before the connection is given up.
    package var watchMargin: Duration = .seconds(30)

    package init() {}
}
