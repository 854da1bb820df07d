import Addressing
import Kubernetes
import LoadBalancing
import NetworkPolicy
import Testing

@testable import Agent
@testable import Datapath

@Suite struct ClusterStates {
    private static let address = IPAddress("10.1.0.1")!

    private func pod(
        _ name: String, uid: String = "a", node: String? = "node-1", addresses: [IPAddress] = [address],
        usesHostNetwork: Bool = false, phase: Pod.Phase = .running
    ) -> ObjectChange {
        .upsert(
            .pod(
                Pod(
                    meta: ObjectMeta(name: name, namespace: "shop", uid: uid), nodeName: node,
                    usesHostNetwork: usesHostNetwork, phase: phase, addresses: addresses)))
    }

    private let key = PodKey(namespace: "shop", name: "web")

    @Test func aPodOfThisNodeIsLocalWhileItRunsAndHasAnAddress() {
        var state = ClusterState(node: "node-1")
        #expect(state.apply([pod("web", addresses: [])]).changedPods.isEmpty)
        #expect(state.apply([pod("web")]).changedPods == [key])
        #expect(state.localPods[key]?.addresses == [Self.address])
        #expect(state.apply([pod("web")]).changedPods.isEmpty, "nothing has changed")
        #expect(state.apply([pod("web", uid: "b")]).changedPods == [key], "another pod of the same name")
        #expect(state.apply([pod("web", uid: "b", phase: .succeeded)]).changedPods == [key])
        #expect(state.localPods.isEmpty)
    }

    @Test func otherPodsAreNotLocal() {
        var state = ClusterState(node: "node-1")
        let outcome = state.apply([
            pod("elsewhere", node: "node-2"), pod("unplaced", node: nil), pod("host", usesHostNetwork: true),
        ])
        #expect(outcome.changedPods.isEmpty && state.localPods.isEmpty)
        #expect(state.objectCounts[.pod] == 3)
    }

    @Test func addressesMoveWhenPodsGoOrTakeThem() {
        var state = ClusterState(node: "node-1")
        let other = IPAddress("10.1.0.2")!
        #expect(state.apply([pod("web", node: "node-2")]).movedAddresses == [Self.address])
        #expect(state.apply([pod("web", uid: "b", node: "node-2")]).movedAddresses.isEmpty)
        #expect(state.apply([pod("web", addresses: [other])]).movedAddresses == [Self.address, other])
        let gone = ObjectChange.delete(ObjectKey(.pod, namespace: "shop", name: "web"))
        #expect(state.apply([gone, pod("db", addresses: [other])]).movedAddresses == [other])
        #expect(state.apply([pod("db", addresses: [other], phase: .succeeded)]).movedAddresses == [other])
    }

    @Test func aClusterWithoutThisNodeIsToldByItsNodes() {
        func node(_ name: String) -> ObjectChange { .upsert(.node(Node(meta: ObjectMeta(name: name)))) }
        var state = ClusterState(node: "node-1")
        #expect(state.strangers == [], "a directory may have no Node")
        _ = state.apply([node("node-3"), node("node-2"), pod("elsewhere", node: "node-2")])
        #expect(state.strangers == ["node-2", "node-3"])
        var used = state
        _ = used.apply([pod("web")])
        #expect(used.strangers == [], "its pods have its name")
        _ = state.apply([node("node-1")])
        #expect(state.strangers == [])
    }

    @Test func onlyThisNodesOwnDeletionMatters() {
        func node(_ name: String, taints: [String] = []) -> ObjectChange {
            .upsert(.node(Node(meta: ObjectMeta(name: name), taints: taints)))
        }
        var state = ClusterState(node: "node-1")
        let taint = ["ToBeDeletedByClusterAutoscaler"]
        let steps: [(ObjectChange, isLeaving: Bool)] = [
            (node("node-1"), false), (node("node-2", taints: taint), false), (node("node-1", taints: taint), true),
            (node("node-1"), false), (.delete(ObjectKey(.node, name: "node-2")), false),
            (.delete(ObjectKey(.node, name: "node-1")), true), (node("node-1"), false),
        ]
        for (change, isLeaving) in steps {
            _ = state.apply([change])
            #expect(state.nodeIsLeaving == isLeaving, "\(change)")
        }
    }

    @Test func aDeletedPodIsForgottenOnce() {
        var state = ClusterState(node: "node-1")
        _ = state.apply([pod("web")])
        let gone = ObjectKey(.pod, namespace: "shop", name: "web")
        #expect(state.apply([.delete(gone)]).changedPods == [key])
        #expect(state.apply([.delete(gone)]).changedPods.isEmpty)
        #expect(state.objectCounts[.pod] == 0)
    }

    @Test func oneEndpointChangeCostsOneEdit() throws {
        var state = ClusterState(node: "node-1")
        let manifests = (0..<200).map { number in
            """
            kind: Service
            apiVersion: v1
            metadata: {name: s\(number), namespace: shop}
            spec: {clusterIP: 10.96.0.\(number + 1), clusterIPs: [10.96.0.\(number + 1)], ports: [{port: 80}]}
            ---
            kind: EndpointSlice
            apiVersion: discovery.k8s.io/v1
            addressType: IPv4
            metadata: {name: s\(number)-v4, namespace: shop, labels: {kubernetes.io/service-name: s\(number)}}
            ports: [{port: 8080}]
            endpoints: [{addresses: [10.1.0.\(number + 1)]}]

            """
        }
        let first = state.apply(changes(in: manifests.joined(separator: "---\n")))
        #expect(first.edits.count == 400)  // each frontend, and the other ports of each address
        let moved = manifests[7].replacing("10.1.0.8]", with: "10.1.1.8]")
        #expect(state.apply(changes(in: moved)).edits.count == 1)
        #expect(state.apply(changes(in: moved)).edits.isEmpty)
    }

    @Test func aNewZoneOfThisNodeLeadsToOtherEndpoints() throws {
        var state = ClusterState(node: "node-1")
        func node(_ name: String, zone: String) -> ObjectChange {
            let labels = ["topology.kubernetes.io/zone": zone]
            return .upsert(.node(Node(meta: ObjectMeta(name: name, namespace: "", labels: labels))))
        }
        func backends(_ changes: [ObjectChange]) -> [String] {
            state.apply(changes).edits.compactMap { edit in
                guard case .service(.set(let frontend, let program)) = edit, !frontend.isRest else { return nil }
                return program.backends.map { "\($0)" }.joined()
            }
        }
        let service = """
            kind: Service
            apiVersion: v1
            metadata: {name: web, namespace: shop}
            spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 80}]}
            ---
            kind: EndpointSlice
            apiVersion: discovery.k8s.io/v1
            addressType: IPv4
            metadata: {name: web-v4, namespace: shop, labels: {kubernetes.io/service-name: web}}
            ports: [{port: 80}]
            endpoints:
            - {addresses: [10.1.0.1], hints: {forZones: [{name: north}]}}
            - {addresses: [10.1.0.2], hints: {forZones: [{name: south}]}}

            """
        #expect(backends(changes(in: service) + [node("node-1", zone: "north")]) == ["10.1.0.1:80"])
        #expect(backends([node("node-2", zone: "south")]) == [], "another node")
        #expect(backends([node("node-1", zone: "south")]) == ["10.1.0.2:80"])
        #expect(backends([node("node-1", zone: "south")]) == [], "nothing has changed")
        #expect(backends([.delete(ObjectKey(.node, namespace: "", name: "node-1"))]) == ["10.1.0.1:8010.1.0.2:80"])
    }

    private func changes(in text: String) -> [ObjectChange] {
        let manifest = Manifest(source: "test.yaml", bytes: Array(text.utf8))
        #expect(manifest.diagnostics.isEmpty, "\(manifest.diagnostics)")
        return manifest.objects.map { .upsert($0) }
    }
}
