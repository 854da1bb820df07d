/// Why a question to the agent has no answer; `description` says what to do about it.
public struct AgentError: Error, Sendable, Equatable, Codable, CustomStringConvertible {
    /// The kind of failure.
    public enum Code: String, Sendable, Codable {
        /// Nobody listens on the socket.
        case notRunning = "not_running"
        /// The socket may not be used by this user.
        case permissionDenied = "permission_denied"
        /// The other side speaks another version of the protocol.
        case incompatible
        /// The agent has as many connections as it takes.
        case busy
        /// The agent did not understand the request.
        case badRequest = "bad_request"
        /// What the request names is not there.
        case notFound = "not_found"
        /// The agent can't answer now, e.g. before its first synchronisation.
        case unavailable
        /// The other side broke the protocol, or the connection broke.
        case broken
        /// The other side took too long.
        case timedOut = "timed_out"
        /// The agent will not do what the request wants, however often it is asked.
        case refused
        /// The agent failed while it worked on the answer.
        case failed
        /// The socket can't be made or is in use.
        case socket
    }

    public var code: Code
    /// One sentence for people.
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    static func notRunning(_ path: String) -> AgentError {
        AgentError(.notRunning, "the agent is not running at \(path): start apusd, or name its socket with --socket")
    }

    static func permissionDenied(_ path: String) -> AgentError {
        AgentError(.permissionDenied, "no permission to use \(path): run as root or as a member of the socket's group")
    }

    static func incompatible(client: Int, server: Int) -> AgentError {
        let advice = "use apus and apusd of one release"
        return AgentError(.incompatible, "apus speaks version \(client), apusd version \(server): \(advice)")
    }

    static let busy = AgentError(.busy, "the agent has too many open connections: close some, or try again")
    static let slow = AgentError(.timedOut, "the agent does not answer: see its log, or try again")
    static let cut = AgentError(.broken, "the agent closed the connection before its answer was complete")
}
