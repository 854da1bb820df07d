extension ListWatch {
    /// Takes in the end of a request, and says which one is next, and when.
    mutating func end(
        _ ending: ListWatchEnding, now: ContinuousClock.Instant, random: Double
    ) -> [ListWatchAction] {
        let ending = error.map(ListWatchEnding.refused) ?? ending
        let (wasOpen, brought) = (isOpen, hasEvents)
        (error, isOpen, hasEvents) = (nil, false, false)
        if case .refused(let refusal) = ending, refusal.code == 404, kind.isCustomResource {
            return absent(now, random)
        }
        (absences, absentSince) = (0, nil)
        switch ending {
        case .complete: return completed(brought, random)
        case .timeUp: return timeUp(brought, random)
        case .cut: return resume(after: brought ? .zero : pause(random))
        case .silent where !wasOpen: return problem("no answer came in time") + resume(after: pause(random))
        case .silent: return silent(brought, random)
        case .unreachable(let reason, let took):
            // A try that took long was pause enough: nothing but the next one finds out that the server is back.
            let pause = unanswered.next(longest: settings.longestUnansweredPause, random: random)
            return problem(reason) + resume(after: max(.zero, pause - took))
        case .refused(let refusal): return refused(refusal, random)
        case .malformed(let reason): return problem(reason) + relist(after: pause(random))
        }
    }

    private mutating func pause(_ random: Double) -> Duration {
        backoff.next(longest: settings.longestPause, random: random)
    }

    private mutating func problem(_ text: String) -> [ListWatchAction] {
        change { standing in
            standing.isConnected = false
            standing.problem = text
        }
    }

    /// A regular end: of a page, or of a watch before its time, as of a server that is stopped.
    private mutating func completed(_ brought: Bool, _ random: Double) -> [ListWatchAction] {
        if let token = nextPage {
            nextPage = nil
            return [.request(.page(continuation: token, isCut: true), after: .zero)]
        }
        if listing != nil { return relist(after: pause(random)) }
        return resume(after: brought || version != watched ? .zero : pause(random))
    }

    /// A watch whose time was up. The server sends a bookmark shortly before that, whatever else there is to say. When
    /// not even that came, the version may be one that the server has yet to reach, as after its store was restored: it
    /// waits for that in silence. So a list is asked for.
    private mutating func timeUp(_ brought: Bool, _ random: Double) -> [ListWatchAction] {
        brought || version != watched ? completed(brought, random) : relist(after: pause(random))
    }

    /// Nothing came for too long.
    private mutating func silent(_ brought: Bool, _ random: Double) -> [ListWatchAction] {
        if listing?.streams == true {
            // A server that does not know of streaming lists sends what exists, but never the mark at its end.
            streams = false
            return relist(after: .zero)
        }
        return resume(after: brought ? .zero : pause(random))
    }

    /// Goes on with the watch, or begins the list anew.
    private mutating func resume(after pause: Duration) -> [ListWatchAction] {
        if listing != nil { return relist(after: pause) }
        watched = version
        return [.request(.watch(from: version), after: pause)]
    }

    /// Begins a list; what is known stays known.
    private mutating func relist(after pause: Duration) -> [ListWatchAction] {
        (nextPage, watched) = (nil, nil)
        listing = Listing(streams: streams)
        return [.request(listRequest, after: pause)]
    }
}

extension ListWatch {
    private mutating func refused(_ refusal: APIRefusal, _ random: Double) -> [ListWatchAction] {
        switch refusal.code {
        case 410: return expired(random)
        case 400 where streams && listing != nil, 422 where streams && listing != nil:
            streams = false
            return relist(after: .zero)
        default: break
        }
        let asked = Duration.seconds(refusal.retryAfter ?? 0) * (1 + 0.2 * random)
        let pause = max(self.pause(random), asked)
        unanswered.reset()
        let told = problem(Self.text(refusal))
        // 400 and 500 are also the answers to a version that the server can't read.
        let isVersionsFault = refusal.code == 400 || refusal.code == 422 || refusal.code == 500
        return told + (isVersionsFault ? relist(after: pause) : resume(after: pause))
    }

    /// The version, or the token of a page, is too old.
    private mutating func expired(_ random: Double) -> [ListWatchAction] {
        // A list that can't be read in pages before their token expires is asked for as one.
        if let listing, !listing.streams, !listing.seen.isEmpty { isCut = false }
        return relist(after: pause(random))
    }

    /// The server does not have the custom resource. Once is not enough to believe it, and what is known of it stays
    /// until that has been said for a while: a server that has just started may not have read its definitions yet.
    /// Other kinds are never absent: of them it is an error as any other.
    private mutating func absent(_ now: ContinuousClock.Instant, _ random: Double) -> [ListWatchAction] {
        unanswered.reset()
        absences += 1
        let since = absentSince ?? now
        absentSince = since
        guard absences > 1, known.isEmpty || since.duration(to: now) >= settings.absenceTime else {
            return relist(after: min(pause(random), settings.absentPause))
        }
        let pause = settings.absentPause * (0.5 + 0.5 * random)
        let standing = change { standing in
            standing.isConnected = true
            standing.problem = "the API server does not have this kind"
        }
        return standing + completeAsAbsent() + relist(after: pause)
    }

    private static func text(_ refusal: APIRefusal) -> String {
        switch refusal.code {
        case 401: "the API server does not accept the credentials (401): \(refusal.message)"
        case 403: "the API server does not allow it (403): \(refusal.message)"
        case 429: "the API server asks to wait (429): \(refusal.message)"
        default: "the API server answered \(refusal.code): \(refusal.message)"
        }
    }
}
