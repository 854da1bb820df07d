internal import FoundationEssentials

/// An Event of the core API (`v1`), as client-go's recorders write them: what happened to an object, and how often.
package struct ClusterEvent: Sendable, Hashable {
    /// The object that it is about.
    package struct Subject: Sendable, Hashable {
        package var apiVersion: String
        package var kind: String
        /// Empty for cluster-scoped kinds.
        package var namespace: String
        package var name: String
        /// Empty where it is not known; `kubectl describe` then does not show the Event.
        package var uid: String

        package init(apiVersion: String, kind: String, namespace: String, name: String, uid: String) {
            self.apiVersion = apiVersion
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.uid = uid
        }
    }

    /// The Event's own name, unique in its namespace.
    package var name: String
    package var subject: Subject
    /// Whether it is a warning, rather than normal.
    package var isWarning: Bool
    /// One word in camel case.
    package var reason: String
    package var message: String
    /// The node whose agent writes it.
    package var node: String
    /// RFC 3339, to the second.
    package var firstTime: String
    package var lastTime: String
    package var count: Int

    package init(
        name: String, subject: Subject, isWarning: Bool, reason: String, message: String, node: String, time: String
    ) {
        self.name = name
        self.subject = subject
        self.isWarning = isWarning
        self.reason = reason
        self.message = message
        self.node = node
        firstTime = time
        lastTime = time
        count = 1
    }

    /// Where Events about the object are: those about cluster-scoped ones are in `default`.
    package var namespace: String { subject.namespace.isEmpty ? "default" : subject.namespace }
}

extension ClusterEvent {
    /// What is written of a new Event.
    var body: Body {
        Body(
            metadata: Body.Metadata(name: name, namespace: namespace),
            involvedObject: Body.Reference(
                apiVersion: subject.apiVersion, kind: subject.kind,
                namespace: subject.namespace.isEmpty ? nil : subject.namespace, name: subject.name,
                uid: subject.uid.isEmpty ? nil : subject.uid),
            reason: reason, message: message, type: isWarning ? "Warning" : "Normal",
            source: Body.Source(component: Self.component, host: node), reportingComponent: Self.component,
            reportingInstance: node, firstTimestamp: firstTime, lastTimestamp: lastTime, count: count)
    }

    private static let component = "apusd"

    /// What is written of an Event that happened again.
    var patch: Patch { Patch(message: message, count: count, lastTimestamp: lastTime) }

    struct Patch: Encodable {
        let message: String
        let count: Int
        let lastTimestamp: String
    }

    struct Body: Encodable {
        struct Metadata: Encodable {
            let name: String
            let namespace: String
        }

        struct Reference: Encodable {
            let apiVersion: String
            let kind: String
            let namespace: String?
            let name: String
            let uid: String?
        }

        struct Source: Encodable {
            let component: String
            let host: String
        }

        let apiVersion = "v1"
        let kind = "Event"
        let metadata: Metadata
        let involvedObject: Reference
        let reason: String
        let message: String
        let type: String
        let source: Source
        let reportingComponent: String
        let reportingInstance: String
        let firstTimestamp: String
        let lastTimestamp: String
        let count: Int
    }
}
