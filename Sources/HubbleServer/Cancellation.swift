internal import GRPCCore

/// Does work for a client until it is done or the client goes away. Without this one that goes while there is nothing
/// to send would be noticed at the next message only.
func untilCancelled(_ context: ServerContext, _ work: @Sendable @escaping () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await work() }
        group.addTask { try await context.cancellation.cancelled }
        defer { group.cancelAll() }
        try await group.next()
    }
}
