/// A request in the protocol of lists and watches.
package enum ListWatchRequest: Sendable, Hashable {
    /// A page of the list: the first one, or the one behind a token; the whole list when it is not to be cut.
    case page(continuation: String?, isCut: Bool)
    /// A streaming list: what exists as events, then a mark, then what changes.
    case initialEvents
    /// What changes after a version.
    case watch(from: String)
}

/// How a request ended.
package enum ListWatchEnding: Sendable, Hashable {
    /// The body has come to its regular end, that of a watch before its time was up.
    case complete
    /// A watch has come to its regular end when its time was up.
    case timeUp
    /// There was no answer: no connection, no handshake, or a connection that closed without a word; and how long it
    /// took to find that out.
    case unreachable(String, after: Duration = .zero)
    /// The body broke off.
    case cut(String)
    /// Nothing came for too long: the other end may be gone.
    case silent
    /// The answer was no.
    case refused(APIRefusal)
    /// The answer is not what was asked for.
    case malformed(String)
}

/// What happens to a list or a watch.
package enum ListWatchInput: Sendable, Hashable {
    /// The answer to a watch has begun.
    case opened
    /// Items of a page, nil for one without a name.
    case items([ReceivedObject?])
    /// The page is complete.
    case pageEnd(ListEnvelope)
    /// Lines of a watch that came together.
    case events([WatchEvent])
    /// The request is over; no more inputs come from it.
    case ended(ListWatchEnding)
}

/// What is to be done.
package enum ListWatchAction: Sendable, Hashable {
    /// Tell who listens to the source.
    case tell(SourceEvent)
    /// The kind has been told in full; comes once.
    case synced
    /// Read no more of the current request's answer, as if that were its regular end.
    case abandon
    /// Send the next request after a while; comes once for each `ended`.
    case request(ListWatchRequest, after: Duration)
}

/// How patient a list or watch is.
package struct ListWatchSettings: Sendable, Hashable {
    /// The first pause after a failure.
    package var firstPause: Duration = .milliseconds(100)
    /// The longest pause while nobody answers: it is short, as asking costs the server nothing then, and what changed
    /// while it was away shall be in force within a second of its return.
    package var longestUnansweredPause: Duration = .milliseconds(500)
    /// The longest pause while the server answers with errors.
    package var longestPause: Duration = .seconds(30)
    /// How long the server must have said that it does not have a custom resource before what is known of it is let
    /// go: longer than a server needs to read its definitions, or a definition to be replaced.
    package var absenceTime: Duration = .seconds(5)
    /// The pause before an absent kind is looked for again.
    package var absentPause: Duration = .seconds(10)
    /// Whether to try a streaming list first.
    package var prefersStreaming = true

    package init() {}
}
