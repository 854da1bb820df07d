internal import LinuxKernel

/// Says when to look at the directory of manifests again: when a file is complete, moved or gone, and when the
/// directory comes back after it was removed. Never ends by itself.
struct ManifestSignals: AsyncSequence, Sendable {
    typealias Element = Void
    typealias Failure = any Error

    /// How long a new file may take to be written; links and the like are read then, without more notice.
    fileprivate static let writingTime: Duration = .milliseconds(100)
    /// How often a directory that is gone is looked for.
    fileprivate static let returnInterval: Duration = .seconds(1)

    private let path: String
    private let watch: InotifyDirectory

    /// Watches an existing directory from now on.
    init(_ path: String) throws(KernelError) {
        self.path = path
        watch = try InotifyDirectory(path)
    }

    fileprivate static func isManifest(_ name: String) -> Bool {
        [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
    }

    func makeAsyncIterator() -> Iterator { Iterator(path: path, events: watch.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        let path: String
        var events: InotifyDirectory.Iterator?

        mutating func next() async throws -> Void? {
            while let event = try await events?.next() {
                switch event {
                case .created(let name):
                    // An editor's temporary file: its rename is what counts.
                    if !ManifestSignals.isManifest(name) { continue }
                    try await Task.sleep(for: ManifestSignals.writingTime)
                case .gone: events = nil
                case .changed, .removed, .replaced, .overflow: break
                }
                return ()
            }
            return try await comeBack()
        }

        /// Waits until the directory is there again.
        private mutating func comeBack() async throws -> Void? {
            while !Task.isCancelled {
                try await Task.sleep(for: ManifestSignals.returnInterval)
                guard let watch = try? InotifyDirectory(path) else { continue }
                events = watch.makeAsyncIterator()
                return ()
            }
            return nil
        }
    }
}
