/// What is asked of an endpoint: bodies are not read.
public struct HTTPQuestion: Sendable, Hashable {
    public var method: String
    /// The path without its query.
    public var path: String
    /// What follows the question mark, as it was sent; empty where there is none.
    public var query: String
    /// The host that is asked, as the client calls it; nil where it does not say, or says several.
    public var host: String?

    public init(method: String, path: String, query: String = "", host: String? = nil) {
        self.method = method
        self.path = path
        self.query = query
        self.host = host
    }
}

/// What an endpoint answers.
public struct HTTPAnswer: Sendable, Hashable {
    public var status: Int
    public var contentType: String
    public var body: String
    /// More headers, by their names.
    public var headers: [String: String]

    public init(
        _ status: Int, contentType: String = "text/plain; charset=utf-8", headers: [String: String] = [:],
        _ body: String
    ) {
        self.headers = headers
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    public static let notFound = HTTPAnswer(404, "There is nothing here.\n")
    public static let notAllowed = HTTPAnswer(405, "Only GET and HEAD are answered here.\n")
}

/// The bounds that keep clients from hurting the agent.
public struct HTTPLimits: Sendable {
    /// How many connections are served at once; more are closed unanswered.
    public var connections = 64
    /// How long a connection may be without a whole request, or without taking its answer.
    public var idleTime: Duration = .seconds(75)

    public init() {}
}

/// Why an endpoint can't listen, as a sentence that says what to do.
public struct HTTPEndpointError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
}
