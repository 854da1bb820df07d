internal import GRPCCore

/// Does work for a client until it is done or the client goes away. Without this one that goes while there is nothing
/// to send would be noticed at the next message only. A client that is there when its server ends is told so: the end of
/// its stream must not look as if there were no more.
func untilCancelled(_ context: ServerContext, _ work: @Sendable @escaping () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await context.cancellation.cancelled
            throw RPCError(code: .unavailable, message: "this server stops, or begins anew: ask again")
        }
        defer { group.cancelAll() }
        try await group.next()
    }
}
