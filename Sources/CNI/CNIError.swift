internal import JSONText

/// What a plugin answers when it fails; its text is for the one who reads the runtime's log or a pod's Events.
package struct CNIError: Error, Sendable, Hashable {
    /// The specification's codes, and from 100 on the plugin's own.
    package enum Code: Int, Sendable {
        case incompatibleVersion = 1
        case invalidEnvironment = 4
        case inputOutput = 5
        case undecodable = 6
        case invalidConfiguration = 7
        case tryAgainLater = 11
        /// Of STATUS: no ADD would succeed.
        case unavailable = 50
        /// The agent can't or won't do what was asked.
        case refused = 100
        /// Of CHECK: something is not as ADD left it.
        case differs = 101
    }

    package let code: Code
    package let message: String
    package let details: String

    package init(_ code: Code, _ message: String, details: String = "") {
        self.code = code
        self.message = message
        self.details = details
    }

    /// The error as JSON of a version of the specification.
    package func json(version: String) -> String {
        var members = [
            "\"cniVersion\": \(JSONText.quoted(version))", "\"code\": \(code.rawValue)",
            "\"msg\": \(JSONText.quoted(message))",
        ]
        if !details.isEmpty { members.append("\"details\": \(JSONText.quoted(details))") }
        return "{\(members.joined(separator: ", "))}"
    }
}
