internal import GRPCCore
internal import Synchronization

/// Bounds how many streams are served at once: each of them may ask a lot of every flow.
final class StreamLimit: Sendable {
    private let limit: Int
    private let open = Atomic<Int>(0)

    init(_ limit: Int = 64) { self.limit = limit }

    /// Serves a stream, or refuses it with `RESOURCE_EXHAUSTED`.
    func serve(_ stream: () async throws -> Void) async throws {
        let number = open.add(1, ordering: .relaxed).newValue
        defer { open.subtract(1, ordering: .relaxed) }
        guard number <= limit else {
            throw RPCError(code: .resourceExhausted, message: "\(limit) streams are open already: ask again later")
        }
        try await stream()
    }
}
