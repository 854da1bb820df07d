import Foundation
import Synchronization

/// What the demo tells its reader: headed steps, the commands that it runs and what they print, and what was checked.
///
/// Colours only on a terminal. Once silenced it says nothing more, so that an interruption has the last word.
final class Transcript: Sendable {
    private struct State {
        var isSilent = false
        var steps = 0
        var checks = 0
        var results: [(subject: String, sentence: String)] = []
    }

    private enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
    }

    private let usesColour: Bool
    private let state = Mutex(State())

    init() {
        usesColour = isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
    }

    /// Whether somebody else has had the last word.
    var isSilent: Bool { state.withLock { $0.isSilent } }

    /// Keeps a sentence for the summary.
    func remember(_ subject: String, _ sentence: String) { state.withLock { $0.results.append((subject, sentence)) } }

    /// What was shown, and that all of it was as it should be.
    func summarize(took: Duration) {
        let (checks, results) = state.withLock { ($0.checks, $0.results) }
        heading("Done: all \(checks) checks passed in \(took.seconds).")
        for result in results {
            say(result.subject.padding(toLength: 12, withPad: " ", startingAt: 0) + result.sentence)
        }
    }

    /// Starts a step.
    func step(_ title: String) {
        let number = state.withLock { state in
            state.steps += 1
            return state.steps
        }
        write("\n" + paint("\(number). \(title)", .bold) + "\n")
    }

    /// A heading without a number.
    func heading(_ title: String) { write("\n" + paint(title, .bold) + "\n") }

    /// Plain sentences.
    func say(_ text: String) {
        write(text.split(separator: "\n", omittingEmptySubsequences: false).map { "   \($0)\n" }.joined())
    }

    /// A command line, after the name of the host that it runs on.
    func command(_ host: String, _ line: String) { write(paint("   \(host)$ \(line)", .dim) + "\n") }

    /// What a command printed.
    func output(_ text: String) {
        for line in text.split(separator: "\n") { write("     \(line)\n") }
    }

    /// An expectation that was met.
    func checked(_ sentence: String) {
        state.withLock { $0.checks += 1 }
        write("   " + paint("✓", .green) + " \(sentence)\n")
    }

    /// What ended the demo early.
    func failed(_ failure: String) { write("   " + paint("✗ \(failure)", .red) + "\n") }

    /// Says nothing from now on.
    func silence() { state.withLock { $0.isSilent = true } }

    private func paint(_ text: String, _ style: Style) -> String {
        usesColour ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
    }

    private func write(_ text: String) {
        state.withLock { state in
            if !state.isSilent { FileHandle.standardOutput.write(Data(text.utf8)) }
        }
    }
}

/// An expectation that was not met.
struct Unexpected: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
