/// The protocol by which one kind of objects is kept equal to an API server's, as a value: what happens goes in, what is
/// to be done comes out.
///
/// A list tells what exists, in pages or as a stream; a watch tells what changes, from the list's version on. A watch
/// that ends goes on from the last version. A version that the server no longer knows begins a new list, and nothing is
/// forgotten for that: the list is compared with what is known, and only the difference is told.
package struct ListWatch: Sendable {
    package let kind: ObjectKind
    let settings: ListWatchSettings

    /// The version of each object that has been told.
    var known = ObjectTable<String>()
    /// The versions of objects of which something is wrong that has been told.
    var troubled: [ObjectKey: String] = [:]
    /// The list that is being read; nil while a watch is.
    var listing: Listing?
    /// The version that everything up to has been told of.
    var version = ""
    /// The version that the watch was begun from; nil when a list has come since.
    var watched: String?
    /// The token of the next page, when the current one is complete and not the last.
    var nextPage: String?

    /// Pauses while the server answers with errors, and while nobody answers: a long absence must not make the first
    /// error of a server that has just come back a long pause.
    var backoff: Backoff
    var unanswered: Backoff
    private(set) var standing = KindStanding()
    /// Whether the server may have streaming lists.
    var streams: Bool
    /// Whether lists come in pages: not after a page's token has expired too often.
    var isCut = true
    /// How often the server said in a row that it does not have the kind, and when it began to.
    var absences = 0
    var absentSince: ContinuousClock.Instant?
    /// Whether the current request is a watch whose answer has begun, and whether that has brought anything.
    var isOpen = false
    var hasEvents = false
    /// The ERROR event that the current request brought.
    var error: APIRefusal?

    package init(kind: ObjectKind, settings: ListWatchSettings = ListWatchSettings()) {
        self.kind = kind
        self.settings = settings
        streams = settings.prefersStreaming
        listing = Listing(streams: settings.prefersStreaming)
        backoff = Backoff(first: settings.firstPause)
        unanswered = backoff
    }

    /// The first request.
    package var firstRequest: ListWatchRequest { listRequest }

    /// The request that begins a list.
    var listRequest: ListWatchRequest {
        streams ? .initialEvents : .page(continuation: nil, isCut: isCut)
    }

    /// Takes in what happened, and says what is to be done; `random` is from 0 to 1.
    package mutating func handle(
        _ input: ListWatchInput, now: ContinuousClock.Instant, random: Double
    ) -> [ListWatchAction] {
        switch input {
        case .opened: open()
        case .items(let items): take(items)
        case .pageEnd(let envelope): endPage(envelope)
        case .events(let events): isConnected() + take(events)
        case .ended(let ending): end(ending, now: now, random: random)
        }
    }

    private mutating func open() -> [ListWatchAction] {
        isOpen = true
        return isConnected()
    }

    /// Whether a watch goes on: nothing may come for long.
    package var isWatching: Bool { isOpen && listing == nil }

    /// Whether all objects of the kind have been told once.
    package var isSynced: Bool { standing.isSynced }

    /// Notes that the server answers.
    mutating func isConnected() -> [ListWatchAction] {
        unanswered.reset()
        return change { standing in
            standing.isConnected = true
            standing.problem = nil
        }
    }

    /// Tells how things stand if that is different now.
    mutating func change(_ edit: (inout KindStanding) -> Void) -> [ListWatchAction] {
        var changed = standing
        edit(&changed)
        if changed == standing { return [] }
        standing = changed
        return [.tell(.standing(kind, changed))]
    }
}
