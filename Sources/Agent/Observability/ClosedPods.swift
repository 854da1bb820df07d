internal import Datapath
internal import NetworkPolicy

/// The pods of this node whose traffic is dropped in a direction, as what judges them is not in force, and the policies
/// that are not in force for them.
struct ClosedPods: Sendable {
    /// One direction of a pod.
    private struct Side: Hashable {
        let pod: PodKey
        let direction: PolicyDirection
    }

    /// What closes each side that found no room in the maps.
    private var unwritten: [Side: String] = [:]
    /// The policies with which the others have more rules than can be programmed.
    private var overflows: [Side: PolicyName] = [:]
    /// The policies that speak of each side.
    private var policies: [Side: [PolicyName]] = [:]

    /// What is closed now.
    ///
    /// - Parameter inForce: the policies that the kernel judges a pod by; nil when it has no endpoint of the pod.
    init(
        _ compiler: PolicyCompiler, _ programming: ProgrammingState, inForce: (PodKey) -> EndpointPolicies?
    ) {
        let cause = (["they could not be written in full"] + programming.fullPolicyMaps).joined(separator: ", ")
        for problem in programming.problems {
            guard case .closed(let direction, _) = problem.reason, let pod = ObjectReference(datapath: problem.object)
            else { continue }
            let key = PodKey(namespace: pod.namespace, name: pod.name)
            unwritten[Side(pod: key, direction: PolicyDirection(direction))] = cause
        }
        for (pod, directions) in compiler.overflows {
            // At a start with objects that can't be read a pod may keep what it was judged by before.
            let (wanted, actual) = (compiler.endpoint(pod), inForce(pod))
            for (direction, culprit) in directions where wanted?[direction] == actual?[direction] {
                overflows[Side(pod: pod, direction: direction)] = culprit
            }
        }
        for side in Set(unwritten.keys).union(overflows.keys) {
            policies[side] = compiler.policies(selecting: side.pod, side.direction)
        }
    }

    /// The pods that have too many rules, in order: the data path holds what was made of them, and tells of none.
    var overlong: [(pod: PodKey, problem: ObjectProblem)] {
        overflows.map { side, culprit in
            let message =
                "closed: its \(side.direction.rawValue) is dropped, as it has more than "
                + "\(CompiledPolicy.maximumRules) rules with \(culprit.text)"
            return (
                side.pod,
                ObjectProblem(
                    object: ObjectReference(side.pod), reason: .closed, message: message, topic: side.direction.rawValue
                )
            )
        }.sorted { $0.problem < $1.problem }
    }

    /// The policies of closed pods, each once for a direction; one that is itself too long is told with its field.
    var judging: [(policy: PolicyName, problem: ObjectProblem)] {
        var causes: [PolicyName: [PolicyDirection: Set<String>]] = [:]
        for (side, names) in policies {
            for name in names where overflows[side] != name {
                causes[name, default: [:]][side.direction, default: []].formUnion(self.causes(of: side))
            }
        }
        return causes.flatMap { name, directions in
            directions.map { direction, causes in
                let message =
                    "not in force for pods of this node, whose \(direction.rawValue) is dropped: "
                    + causes.sorted().joined(separator: ", ")
                return (
                    name,
                    ObjectProblem(
                        object: ObjectReference(name), reason: .closed, message: message, topic: direction.rawValue)
                )
            }
        }.sorted { $0.problem < $1.problem }
    }

    private func causes(of side: Side) -> [String] {
        let overlong = overflows[side].map {
            "they have more than \(CompiledPolicy.maximumRules) rules with \($0.text)"
        }
        return [unwritten[side], overlong].compactMap { $0 }
    }
}

extension PolicyDirection {
    fileprivate init(_ direction: TrafficDirection) {
        switch direction {
        case .ingress: self = .ingress
        case .egress: self = .egress
        }
    }
}

extension EndpointPolicies {
    fileprivate subscript(direction: PolicyDirection) -> PolicyID { direction == .ingress ? ingress : egress }
}

extension NodeController {
    /// The pods that are closed now.
    var closedPods: ClosedPods { ClosedPods(state.policies, programming) { tables.policies(of: $0) } }
}
