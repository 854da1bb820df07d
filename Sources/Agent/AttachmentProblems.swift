/// Why programs are not where they should be, and when to try again.
struct AttachmentProblems: Sendable {
    /// How long to wait before what failed is tried again, in nanoseconds.
    private static let retryDelay: UInt64 = 1_000_000_000

    /// The problems by what a person calls the place.
    private(set) var problems: [String: String] = [:]
    private var lastTry: UInt64 = 0

    /// Takes in the outcome of a try. Returns the places with a problem that is news.
    mutating func note(_ found: [String: String], at now: UInt64) -> [String] {
        defer {
            problems = found
            lastTry = now
        }
        return found.filter { problems[$0.key] != $0.value }.keys.sorted()
    }

    /// Whether what failed should be tried again.
    func isDue(at now: UInt64) -> Bool { !problems.isEmpty && now - lastTry >= Self.retryDelay }
}
