import Addressing
import Datapath
import Kubernetes
import Testing

@testable import Agent

@Suite("Which addresses are trusted to teach names, and as what")
struct ClusterResolversTests {
    private let known = ["169.254.20.10/32", "169.254.169.254/32"]

    private func pod(_ name: String, _ namespace: String, label: String?, _ address: String) -> ObjectChange {
        let labels = label.map { ["k8s-app": $0] } ?? [:]
        let meta = ObjectMeta(name: name, namespace: namespace, uid: name, labels: labels)
        let addresses = [IPAddress(address)].compactMap { $0 }
        return .upsert(.pod(Pod(meta: meta, nodeName: "node-1", phase: .running, addresses: addresses)))
    }

    private func service(
        _ name: String, _ namespace: String, label: String? = nil, _ address: String, external: [String] = []
    ) -> ObjectChange {
        let labels = label.map { ["k8s-app": $0] } ?? [:]
        var service = Service(meta: ObjectMeta(name: name, namespace: namespace, uid: name, labels: labels))
        service.clusterIPs = [IPAddress(address)].compactMap { $0 }
        service.externalIPs = external.compactMap { IPAddress($0) }
        return .upsert(.service(service))
    }

    private func trusted(_ changes: [ObjectChange], with others: [String] = []) -> [String: ResolverTrust] {
        var resolvers = ClusterResolvers()
        for change in changes { resolvers.apply(change) }
        let found = resolvers.trusted(with: Set(others.compactMap { CIDR($0) }))
        return Dictionary(uniqueKeysWithValues: found.map { ("\($0.key)", $0.value) })
            .filter { !known.contains($0.key) }
    }

    @Test("Resolver pods, the addresses that all nodes have and --dns-server are believed themselves, not as Services")
    func peers() {
        let changes = [
            pod("dns-1", "kube-system", label: "kube-dns", "10.1.0.2"),
            pod("dns-2", "shop", label: "kube-dns", "10.1.0.3"), pod("web", "kube-system", label: nil, "10.1.0.4"),
        ]
        #expect(trusted(changes, with: ["192.0.2.0/24"]) == ["10.1.0.2/32": .peer, "192.0.2.0/24": .peer])
        #expect(ClusterResolvers().trusted(with: []).values.allSatisfy { $0 == .peer })
        #expect(ClusterResolvers().trusted(with: []).count == known.count)
    }

    @Test("Only the cluster's addresses of its own resolvers' Services are believed as Services")
    func services() {
        let changes = [
            service("kube-dns", "kube-system", "10.96.0.10", external: ["192.0.2.1"]),
            service("node-cache", "kube-system", label: "node-local-dns", "10.96.0.11"),
            service("kube-dns", "shop", label: "kube-dns", "10.96.0.12"),
            // Somebody's, with a resolver pod's address.
            pod("dns-1", "kube-system", label: "kube-dns", "10.1.0.2"),
            service("thief", "shop", "10.96.0.13", external: ["10.1.0.2"]),
        ]
        #expect(
            trusted(changes) == [
                "10.96.0.10/32": [.peer, .frontend], "10.96.0.11/32": [.peer, .frontend], "10.1.0.2/32": .peer,
            ])
        let gone = changes + [.delete(ObjectKey(.service, namespace: "kube-system", name: "kube-dns"))]
        #expect(trusted(gone)["10.96.0.10/32"] == nil)
    }
}
