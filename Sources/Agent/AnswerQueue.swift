internal import Datapath
internal import Synchronization

/// DNS answers that the agent read itself, on their way to who tells flows. Where nobody takes them, the newest are lost
/// and counted.
final class AnswerQueue: Sendable {
    private struct State {
        var waiting: [DatapathAnswer] = []
        var lost: UInt64 = 0
    }

    private static let limit = 4096
    private let state = Mutex(State())

    func put(_ answers: [DatapathAnswer]) {
        if answers.isEmpty { return }
        state.withLock { state in
            let room = answers.prefix(Self.limit - state.waiting.count)
            state.waiting += room
            state.lost += UInt64(answers.count - room.count)
        }
    }

    func take() -> [DatapathAnswer] {
        state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
    }

    /// How many found no room since this was asked last.
    func takeLost() -> UInt64 {
        state.withLock { state in
            defer { state.lost = 0 }
            return state.lost
        }
    }
}
