internal import JSONText

/// What came of a question to the agent.
package enum AgentReply: Sendable, Hashable {
    case done
    /// The agent says why not; the code is one of `AgentAPI`'s.
    case refused(code: String, message: String)
    /// Nobody answered.
    case unreachable(String)

    /// What a line of an answer says; nil when more lines follow.
    package init?(line: some Sequence<UInt8>) {
        guard let text = try? JSONText(line), text.kind == .object else {
            self = .refused(code: "broken", message: "its answer is not understood: use one release of both")
            return
        }
        if let error = text["error"] {
            self = .refused(code: error["code"]?.string ?? "", message: error["message"]?.string ?? error.text)
        } else if text["end"]?.boolean == true {
            self = .done
        } else {
            return nil
        }
    }

    /// Whether the same question may be answered in a moment.
    package var isBusy: Bool {
        if case .refused("busy", _) = self { true } else { false }
    }

    /// Whether nothing is wrong but the time.
    private static let passing: Set<String> = ["busy", "unavailable", "timed_out", "not_running"]

    /// The error of a command; nil when all is well.
    func error(_ command: CNICommand) -> CNIError? {
        switch (self, command) {
        case (.done, _): return nil
        case (.unreachable(let reason), .status):
            return CNIError(.unavailable, "apusd is not there: \(reason)", details: Self.advice)
        case (.unreachable(let reason), _):
            return CNIError(.tryAgainLater, "apusd is not there: \(reason)", details: Self.advice)
        case (.refused(_, let message), .status): return CNIError(.unavailable, "apusd: \(message)")
        case (.refused(let code, let message), _):
            if Self.passing.contains(code) { return CNIError(.tryAgainLater, "apusd: \(message)") }
            return CNIError(command == .check ? .differs : .refused, "apusd: \(message)")
        }
    }

    private static let advice =
        "the agent of this node has to run for pods to come up; those that are up go on without it"
}
