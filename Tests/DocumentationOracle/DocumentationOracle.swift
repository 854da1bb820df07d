package import Addressing
internal import Kubernetes

/// What the Kubernetes documentation says of a connection, rule by rule.
///
/// It is a second opinion for tests: it reads the objects themselves, compiles nothing, and was written from the
/// documentation of NetworkPolicy v1 and ClusterNetworkPolicy v1alpha2 without a look at `Sources/NetworkPolicy`.
package struct DocumentationOracle: Sendable {
    let cluster: ObservedCluster

    /// An oracle for the cluster as it is now.
    package init(_ cluster: ObservedCluster) {
        self.cluster = cluster
    }

    /// Whether a connection may be opened: both of its ends have to agree, where they are pods.
    package func allows(_ flow: FlowTuple) -> Bool {
        Side.allCases.allSatisfy { judge(flow, at: $0).isAllowed }
    }

    /// What one end decides.
    package func judge(_ flow: FlowTuple, at side: Side) -> Judgement {
        let ends = (source: flow.source.address, destination: flow.destination.address)
        let (own, peer) = side == .ingress ? (ends.destination, ends.source) : (ends.source, ends.destination)
        guard let pod = cluster.pod(at: own) else { return Judgement(isAllowed: true, reason: "no pod is there") }
        if let exemption = exemption(of: pod, peer: peer, at: side) {
            return Judgement(isAllowed: true, reason: exemption)
        }
        let question = Question(cluster: cluster, flow: flow, side: side, pod: pod, peer: peer)
        return question.administrators(.admin) ?? question.namespaceOwners() ?? question.administrators(.baseline)
            ?? Judgement(isAllowed: true, reason: "nothing speaks against it")
    }

    /// Why no policy may speak of the connection at all.
    private func exemption(of pod: Pod, peer: IPAddress, at side: Side) -> String? {
        if pod.liveAddresses.contains(peer) { return "a pod can't block itself" }
        if side == .ingress, cluster.isOwnNode(peer, of: pod) { return "the pod's own node is always let in" }
        return nil
    }
}

/// Which of a connection's two ends a policy speaks for.
package enum Side: String, Sendable, CaseIterable {
    /// The pod that opens it.
    case egress
    /// The pod that it is opened to.
    case ingress
}

/// What is decided at one end of a connection, and by what.
package struct Judgement: Sendable, Hashable {
    /// Whether the connection may be opened.
    package var isAllowed: Bool
    /// What decided, in words.
    package var reason: String
}

/// One end of a connection, before the policies.
struct Question {
    let cluster: ObservedCluster
    let flow: FlowTuple
    let side: Side
    /// The pod that the policies are about.
    let pod: Pod
    /// The other end.
    let peer: IPAddress

    /// Whose port names count: those of the pod that receives the connection.
    var receiver: Pod? { side == .ingress ? pod : cluster.pod(at: peer) }
}
