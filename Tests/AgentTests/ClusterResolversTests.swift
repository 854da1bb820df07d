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

    private func slice(_ name: String, _ namespace: String = "kube-system", of service: String, _ addresses: [String])
        -> ObjectChange
    {
        let meta = ObjectMeta(
            name: name, namespace: namespace, uid: name, labels: ["kubernetes.io/service-name": service])
        let endpoints = addresses.map { Endpoint(addresses: [$0].compactMap { IPAddress($0) }) }
        return .upsert(.endpointSlice(EndpointSlice(meta: meta, endpoints: endpoints)))
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

    @Test("What a resolvers' Service leads to is believed behind it, for as long as a slice of the Service says so")
    func backends() {
        let changes = [
            slice("early", of: "kube-dns", ["10.1.0.2", "10.1.0.3"]), service("kube-dns", "kube-system", "10.96.0.10"),
            slice("more", of: "kube-dns", ["10.1.0.3", "2001:db8::3"]), slice("other", of: "metrics", ["10.1.0.4"]),
            slice("theirs", "shop", of: "kube-dns", ["10.1.0.5"]), service("metrics", "kube-system", "10.96.0.20"),
        ]
        let service: [String: ResolverTrust] = ["10.96.0.10/32": [.peer, .frontend]]
        let expected = service.merging(
            ["10.1.0.2/32": .backend, "10.1.0.3/32": .backend, "2001:db8::3/128": .backend]) { $1 }
        #expect(trusted(changes) == expected)
        let replaced = changes + [slice("early", of: "kube-dns", ["10.1.0.6"])]
        #expect(
            trusted(replaced)
                == service.merging(["10.1.0.6/32": .backend, "10.1.0.3/32": .backend, "2001:db8::3/128": .backend]) {
                    $1
                })
        let gone =
            replaced + ["early", "more"].map { .delete(ObjectKey(.endpointSlice, namespace: "kube-system", name: $0)) }
        #expect(trusted(gone) == service)
        #expect(trusted(changes + [.delete(ObjectKey(.service, namespace: "kube-system", name: "kube-dns"))]).isEmpty)
    }

    @Test("A backend is believed itself, too, where it is a resolver pod or in a block of --dns-server")
    func backendsThemselves() {
        let changes = [
            service("kube-dns", "kube-system", "10.96.0.10"), slice("one", of: "kube-dns", ["10.1.0.2", "192.0.2.7"]),
            pod("dns-1", "kube-system", label: "kube-dns", "10.1.0.2"),
        ]
        #expect(
            trusted(changes, with: ["192.0.2.0/24"]) == [
                "10.96.0.10/32": [.peer, .frontend], "10.1.0.2/32": [.peer, .backend],
                "192.0.2.7/32": [.peer, .backend], "192.0.2.0/24": .peer,
            ])
    }
}
