package import Kubernetes

/// How an API server is followed.
package struct APISettings: Sendable {
    /// The kinds that are followed.
    package var kinds = ObjectKind.allCases
    /// How patient each of them is.
    package var protocolSettings = ListWatchSettings()
    /// How many objects a page of a list has.
    package var pageSize = 500
    /// How long to wait for a connection. Short, so that a server that does not answer at all is asked again soon.
    package var connectTimeout: Duration = .seconds(3)
    /// How long a list may be silent.
    package var listSilence: Duration = .seconds(15)
    /// How long writing one thing may take.
    package var writeTime: Duration = .seconds(10)
    /// How long a watch may be silent: bookmarks come about every minute.
    package var watchSilence: Duration = .seconds(90)
    /// After how long the server shall end a watch; each takes a random time between.
    package var watchTime: ClosedRange<Int> = 300...600

    package init() {}
}
