/// Why the agent can't do what it was told, as a sentence that says what to do.
public struct AgentFailure: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
