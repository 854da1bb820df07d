/// A condition of a Node's status.
package struct NodeCondition: Sendable, Hashable {
    package var type: String
    package var isTrue: Bool
    /// One word in camel case.
    package var reason: String
    package var message: String
    /// RFC 3339, to the second.
    package var time: String

    package init(type: String, isTrue: Bool, reason: String, message: String, time: String) {
        self.type = type
        self.isTrue = isTrue
        self.reason = reason
        self.message = message
        self.time = time
    }

    /// A strategic merge patch of the Node's status: conditions are merged by their type.
    var patch: Patch {
        let condition = Patch.Condition(
            type: type, status: isTrue ? "True" : "False", reason: reason, message: message, lastHeartbeatTime: time,
            lastTransitionTime: time)
        return Patch(status: Patch.Status(conditions: [condition]))
    }

    struct Patch: Encodable {
        struct Status: Encodable {
            let conditions: [Condition]
        }

        struct Condition: Encodable {
            let type: String
            let status: String
            let reason: String
            let message: String
            let lastHeartbeatTime: String
            let lastTransitionTime: String
        }

        let status: Status
    }
}
