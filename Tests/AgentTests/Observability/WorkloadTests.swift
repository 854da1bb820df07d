import Flows
import Kubernetes
import Testing

@testable import Agent

@Suite struct Workloads {
    @Test(arguments: [
        ("ReplicaSet", "web-6d5f", "6d5f", "Deployment", "web"),
        ("ReplicaSet", "web-6d5f", nil, "ReplicaSet", "web-6d5f"),
        ("ReplicaSet", "web", "6d5f", "ReplicaSet", "web"),
        ("StatefulSet", "db-6d5f", "6d5f", "StatefulSet", "db-6d5f"),
        ("ReplicaSet", "-6d5f", "6d5f", "ReplicaSet", "-6d5f"),
    ])
    func theDeploymentOfAReplicaSetIsKnownByTheHashInItsName(
        kind: String, name: String, hash: String?, workloadKind: String, workload: String
    ) {
        let meta = ObjectMeta(
            name: "pod", namespace: "shop", labels: hash.map { ["pod-template-hash": $0] } ?? [:],
            owners: [OwnerReference(kind: kind, name: name)])
        #expect(Peer.Workload(meta) == Peer.Workload(kind: workloadKind, name: workload))
    }

    @Test func aPodOfItsOwnHasNone() { #expect(Peer.Workload(ObjectMeta(name: "pod", namespace: "shop")) == nil) }
}
