public import Flows

/// Which flows a client wants.
public struct FlowQuery: Sendable, Equatable, Codable {
    /// How many past flows to send first.
    public var last: Int
    /// Whether to go on with new flows.
    public var follow: Bool
    public var filter: FlowFilter

    public init(last: Int = 0, follow: Bool = false, filter: FlowFilter = FlowFilter()) {
        self.last = last
        self.follow = follow
        self.filter = filter
    }
}

/// Who answers.
public struct AgentHello: Sendable, Equatable, Codable {
    /// The version of the protocol that the agent speaks.
    public var protocolVersion: Int
    /// The agent's own version.
    public var version: String
    public var node: String

    private enum CodingKeys: String, CodingKey {
        case version, node
        case protocolVersion = "protocol"
    }

    public init(protocolVersion: Int = AgentProtocol.version, version: String, node: String) {
        self.protocolVersion = protocolVersion
        self.version = version
        self.node = node
    }
}

/// The protocol between `apus` or `apus-cni` and `apusd`: one line of JSON asks, lines of JSON answer, the last one ends
/// the answer.
///
/// The first line of every answer is the agent's ``AgentHello`` (or an error); one request per connection.
public enum AgentProtocol {
    /// Grows when an old client could misunderstand a new agent, or the other way round.
    public static let version = 1
    /// Where the agent listens when nothing else is said.
    public static let defaultSocketPath = "/run/apus/apus.sock"
}

/// The one line that a client sends.
struct AgentRequest: Sendable, Equatable, Codable {
    enum Kind: String, Sendable, Codable {
        case version, status, verify, flows, explain, policy, trace
        case attach, check, detach, collect, ready
    }

    var protocolVersion = AgentProtocol.version
    var kind: Kind
    /// With `flows` only.
    var query: FlowQuery?
    /// With `explain` only.
    var question: PolicyQuestion?
    /// With `policy` only.
    var policy: PolicySelection?
    /// With `trace` only.
    var service: ServiceQuestion?
    /// With `attach` and `check` only.
    var attachment: PodAttachment?
    /// With `detach` only.
    var key: AttachmentKey?
    /// With `collect` only.
    var collection: AttachmentCollection?

    private enum CodingKeys: String, CodingKey {
        case query, question, policy, service, attachment, key, collection
        case protocolVersion = "protocol"
        case kind = "request"
    }
}

/// One line of an answer: exactly one of its fields is there.
struct AgentResponse: Sendable, Codable {
    var hello: AgentHello?
    var status: AgentStatus?
    var verify: VerifyReport?
    var flow: Flow?
    var paths: [PolicyPath]?
    var policies: PolicyDetails?
    var trace: ServiceTrace?
    var error: AgentError?
    /// True on the last line.
    var end: Bool?
}
