extension Duration {
    /// How long to wait for what must happen. It passes on failure only, so it is far beyond what a loaded machine needs.
    public static let patience: Duration = .seconds(120)
}

/// Waits until a condition holds and throws when it does not within the bound.
///
/// Tests wait for what they mean instead of sleeping for what they hope. An error thrown by the condition counts as
/// "not yet"; the last one is part of the failure.
///
/// - Parameters:
///   - what: What is waited for, for the failure's text.
///   - bound: How long to try.
///   - interval: The pause between two tries.
public func eventually(
    _ what: String, within bound: Duration = .patience, every interval: Duration = .milliseconds(10),
    isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now.advanced(by: bound)
    while true {
        var failure = "the condition stayed false for \(bound)"
        do {
            if try await condition() { return }
        } catch {
            failure = "\(error)"
        }
        if clock.now >= deadline { throw LabError("waiting for \(what)", failure) }
        try await clock.sleep(for: interval)
    }
}
