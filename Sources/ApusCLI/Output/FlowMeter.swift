internal import Flows
internal import Synchronization

/// Counts the flows that come, and tells the person at a terminal how many they are: while they come, where nothing else
/// is to be seen there, and in the end.
final class FlowMeter: Sendable {
    private struct State {
        var flows: UInt64 = 0
        var lost: UInt64 = 0
        var toldAt: UInt64
    }

    /// Nanoseconds between two lines, and before the first.
    private static let pause: UInt64 = 500_000_000

    private let started: UInt64
    private let now: @Sendable () -> UInt64
    private let renew: (@Sendable (String) -> Void)?
    private let state: Mutex<State>

    /// - Parameter isQuiet: whether nothing is told while flows come.
    init(_ console: Console, isQuiet: Bool, now: @escaping @Sendable () -> UInt64 = CommandContext.current.now) {
        started = now()
        self.now = now
        renew = isQuiet ? nil : console.renew
        state = Mutex(State(toldAt: started))
    }

    func count(_ flow: Flow) {
        let line = state.withLock { state -> String? in
            if let loss = flow.loss { state.lost += loss.count } else { state.flows += 1 }
            guard renew != nil else { return nil }
            let time = now()
            guard time >= state.toldAt + Self.pause else { return nil }
            state.toldAt = time
            return text(state, at: time)
        }
        if let line { renew?(line) }
    }

    /// Takes away what was told, and says how many flows came and at what rate.
    func finish() -> String {
        let (line, hasTold) = state.withLock { (text($0, at: now()), $0.toldAt > started) }
        if hasTold { renew?("") }
        return line
    }

    private func text(_ state: State, at time: UInt64) -> String {
        let elapsed = time > started ? time - started : 0
        let flows = Quantity.count(Int(clamping: state.flows), "flow")
        let rate = Quantity.rate(state.flows, nanoseconds: elapsed)
        let lost = state.lost > 0 ? ", \(Quantity.count(Int(clamping: state.lost), "record")) lost" : ""
        return "\(flows) in \(Quantity.duration(elapsed)), \(rate) a second\(lost)"
    }
}
