/// A source that reads a directory of manifests and follows its changes.
///
/// `Signals` says when to look again; it should speak up when a file has been closed after writing, renamed or removed,
/// rather than at each write. A signal without a change costs one `stat` for each file. The source ends when the
/// signals do; it has one listener.
public struct DirectorySource<Signals: AsyncSequence & Sendable>: ObjectSource, Sendable {
    public typealias Element = SourceEvent
    public typealias Failure = Never

    private let directory: String
    private let signals: Signals
    private let waitForReplacement: @Sendable () async -> Void

    /// A source over a directory.
    /// - Parameters:
    ///   - directory: its path.
    ///   - signals: an element for each time that something in it may have changed; begin to watch before this
    ///     source is iterated, so that no change falls between the first look and the watch.
    public init(directory: String, signals: Signals) {
        // A cancelled wait is a short one.
        self.init(directory: directory, signals: signals) { try? await Task.sleep(for: .milliseconds(200)) }
    }

    /// - Parameter waitForReplacement: what is waited for when a file is gone: editors move the old one away, and
    ///   write a new one then.
    package init(directory: String, signals: Signals, waitForReplacement: @escaping @Sendable () async -> Void) {
        self.directory = directory
        self.signals = signals
        self.waitForReplacement = waitForReplacement
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(
            directory: directory, signals: signals.makeAsyncIterator(), waitForReplacement: waitForReplacement)
    }

    /// Reads the directory when the first event is asked for, and again after each signal.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var reader: DirectoryReader
        private var signals: Signals.AsyncIterator?
        private var pending: ArraySlice<SourceEvent> = []
        private var hasLooked = false
        private let waitForReplacement: @Sendable () async -> Void

        fileprivate init(
            directory: String, signals: Signals.AsyncIterator, waitForReplacement: @escaping @Sendable () async -> Void
        ) {
            self.waitForReplacement = waitForReplacement
            reader = DirectoryReader(directory: directory)
            self.signals = signals
        }

        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(Never) -> SourceEvent? {
            if !hasLooked {
                hasLooked = true
                pending = reader.look()[...]
            }
            while pending.isEmpty {
                guard await nextSignal(isolation: actor) else { return pending.popFirst() }
                if reader.missesFiles { await waitForReplacement() }
                pending = reader.look()[...]
            }
            return pending.popFirst()
        }

        /// Waits for a signal; false when there are no more, with the reason as an event where there is one.
        private mutating func nextSignal(isolation actor: isolated (any Actor)?) async -> Bool {
            do {
                if try await signals?.next(isolation: actor) != nil { return true }
            } catch {
                let message = "no longer watched: \(error)"
                pending = [.diagnostic(SourceDiagnostic(.unreadable, source: reader.directory, message: message))]
            }
            signals = nil
            return false
        }
    }
}

/// One look after the other at a directory, as events.
struct DirectoryReader {
    var directory: String { scanner.directory }

    private var scanner: DirectoryScanner
    private var state = DirectoryState()
    private var isSynced = false
    /// Why the directory could not be read the last time.
    private var unreadable: String?

    init(directory: String) {
        scanner = DirectoryScanner(directory: directory)
    }

    /// Whether a file that was there is gone.
    var missesFiles: Bool { scanner.missesFiles }

    /// What is different now. A directory that can't be read keeps everything in force.
    mutating func look() -> [SourceEvent] {
        let changes: [FileChange]
        do throws(DirectoryScanner.Failure) {
            changes = try scanner.scan()
        } catch {
            return error.reason == unreadable ? [] : forgive() + [.diagnostic(note(error.reason))]
        }
        defer { isSynced = true }
        return forgive() + state.apply(changes) + (isSynced ? [] : [.synced])
    }

    private mutating func note(_ reason: String) -> SourceDiagnostic {
        unreadable = reason
        var diagnostic = SourceDiagnostic(.unreadable, source: directory, message: reason)
        diagnostic.keepsLastGood = isSynced
        diagnostic.keptKeys = state.keys
        return diagnostic
    }

    /// The directory is not what it was the last time that it could not be read.
    private mutating func forgive() -> [SourceEvent] {
        if unreadable == nil { return [] }
        unreadable = nil
        return [.forgiven(source: directory)]
    }
}
