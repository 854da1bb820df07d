internal import Kubernetes
internal import KubernetesAPI
internal import NetworkPolicy

/// What the API server shall know.
struct NodeFindings: Sendable {
    var problems: [ObjectProblem]
    /// The objects of the problems, as the API server knows them.
    var subjects: [ObjectReference: ClusterEvent.Subject]
    /// Whether all objects have been read, and the programs of this build run.
    var isInForce: Bool
    var nodeIsKnown: Bool
    /// What the Node says of its network; nil: nothing.
    var networkIsUnavailable: Bool?
}

extension NodeController {
    func findings() -> NodeFindings {
        let problems = objectProblems() + portProblems
        let subjects = Set(problems.map(\.object)).reduce(into: [:]) { subjects, object in
            subjects[object] = subject(object)
        }
        return NodeFindings(
            problems: problems, subjects: subjects, isInForce: isSynced && isActive,
            nodeIsKnown: state.ownNode != nil, networkIsUnavailable: state.ownNode?.networkIsUnavailable)
    }

    /// The object as the API server knows it; nil for a kind that it does not have.
    private func subject(_ object: ObjectReference) -> ClusterEvent.Subject? {
        guard let kind = ObjectKind(rawValue: object.kind) else { return nil }
        let key = ObjectKey(kind, namespace: object.namespace, name: object.name)
        return ClusterEvent.Subject(
            apiVersion: kind.apiVersion, kind: object.kind, namespace: object.namespace, name: object.name,
            uid: state.uid(of: key))
    }
}
