internal import JSONText

/// What the plugin asks the agent: one line of JSON, as `AgentAPI` reads it.
package enum AgentQuestion: Sendable, Hashable {
    /// A pod's interface, and where it was found.
    package struct Attachment: Sendable, Hashable {
        package let network: String
        package let key: CNIAttachmentKey
        package let pod: CNIPod?
        package let result: CNIResult
        /// How long the agent may take until the policy is in force.
        package let waitMilliseconds: Int
    }

    case attach(Attachment)
    case check(Attachment)
    case detach(network: String, CNIAttachmentKey)
    case collect(network: String, valid: [CNIAttachmentKey])
    case ready

    /// The line, without its end.
    package var line: String {
        switch self {
        case .attach(let attachment): Self.line("attach", "attachment", attachment.json)
        case .check(let attachment): Self.line("check", "attachment", attachment.json)
        case .detach(let network, let key):
            Self.line("detach", "key", "{\"network\":\(JSONText.quoted(network)),\(key.members)}")
        case .collect(let network, let valid):
            Self.line(
                "collect", "collection",
                "{\"network\":\(JSONText.quoted(network)),\"valid\":\(Self.list(valid.map { "{\($0.members)}" }))}")
        case .ready: "{\"protocol\":1,\"request\":\"ready\"}"
        }
    }

    private static func line(_ request: String, _ name: String, _ value: String) -> String {
        "{\"protocol\":1,\"request\":\"\(request)\",\"\(name)\":\(value)}"
    }

    static func list(_ elements: [String]) -> String { "[\(elements.joined(separator: ","))]" }
}

extension CNIAttachmentKey {
    fileprivate var members: String {
        "\"container\":\(JSONText.quoted(container)),\"interface\":\(JSONText.quoted(interface))"
    }
}

extension AgentQuestion.Attachment {
    fileprivate var json: String {
        var members = ["\"key\":{\"network\":\(JSONText.quoted(network)),\(key.members)}"]
        if let pod { members.append("\"pod\":\(pod.json)") }
        members.append("\"addresses\":\(AgentQuestion.list(result.addresses.map(JSONText.quoted)))")
        members.append("\"host_interfaces\":\(AgentQuestion.list(result.hostInterfaces.map(JSONText.quoted)))")
        members.append("\"wait_ms\":\(waitMilliseconds)")
        return "{\(members.joined(separator: ","))}"
    }
}

extension CNIPod {
    fileprivate var json: String {
        let uid = uid.map { ",\"uid\":\(JSONText.quoted($0))" } ?? ""
        return "{\"namespace\":\(JSONText.quoted(namespace)),\"name\":\(JSONText.quoted(name))\(uid)}"
    }
}
