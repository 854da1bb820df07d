internal import Synchronization

/// The share of the connections that waiting CNI plugins may have.
final class AttachmentShare: Sendable {
    private let limit: Int
    private let held = Atomic<Int>(0)

    init(_ limit: Int) { self.limit = limit }

    /// Runs what may take long, unless too many do so already.
    func hold(_ body: () async throws -> Void) async throws {
        defer { held.subtract(1, ordering: .relaxed) }
        guard held.add(1, ordering: .relaxed).newValue <= limit else { throw AgentError.busy }
        try await body()
    }
}
