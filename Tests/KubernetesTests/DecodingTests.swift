import Addressing
import Kubernetes
import Testing

@Suite("Decoding of metadata, Nodes and Pods")
struct DecodingTests {
    @Test("metadata keeps what Apus uses and drops kubectl's copy of the manifest")
    func metadata() throws {
        let object = try onlyObject(
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: web-0
              namespace: shop
              uid: 3d5499f7
              resourceVersion: "812"
              creationTimestamp: "2026-11-23T04:53:49Z"
              deletionTimestamp: "2026-11-23T05:00:00Z"
              labels: {app: web, "1": "2", empty: null, quoted: "yes"}
              annotations:
                kubectl.kubernetes.io/last-applied-configuration: |
                  {"kind":"Pod"}
                policy.network.gke.io/enable-logging: "true"
              ownerReferences:
              - {apiVersion: v1, kind: Thing, name: other}
              - {apiVersion: apps/v1, kind: ReplicaSet, name: web-5c, controller: true}
              managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {}}}]
            """)
        #expect(
            object.meta
                == ObjectMeta(
                    name: "web-0", namespace: "shop", uid: "3d5499f7", resourceVersion: "812",
                    labels: ["app": "web", "1": "2", "empty": "", "quoted": "yes"],
                    annotations: ["policy.network.gke.io/enable-logging": "true"],
                    creationTimestamp: "2026-11-23T04:53:49Z", isTerminating: true,
                    owners: [
                        OwnerReference(kind: "Thing", name: "other", isController: false),
                        OwnerReference(kind: "ReplicaSet", name: "web-5c"),
                    ]))
        #expect(object.meta.controller?.name == "web-5c")
    }

    @Test("a namespaced object without a namespace is in default, a Node in none")
    func namespaces() throws {
        let pod = try onlyObject("{apiVersion: v1, kind: Pod, metadata: {name: a}}")
        #expect(pod.key == ObjectKey(.pod, namespace: "default", name: "a"))
        let node = try onlyObject("{apiVersion: v1, kind: Node, metadata: {name: a, namespace: odd}}")
        #expect(node.key == ObjectKey(.node, name: "a"))
        #expect(pod.key.description == "Pod default/a" && node.key.description == "Node a")
    }

    @Test("a Node has its IP addresses and pod ranges; names are left out")
    func node() throws {
        let object = try onlyObject(
            """
            apiVersion: v1
            kind: Node
            metadata: {name: node-a, labels: {topology.kubernetes.io/zone: north-1}}
            spec:
              podCIDR: 10.244.1.0/24
              podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]
              taints: [{key: dedicated, value: shop, effect: NoSchedule}]
            status:
              addresses:
              - {type: InternalIP, address: 172.20.0.11}
              - {type: InternalIP, address: "fd00:172:20::11"}
              - {type: Hostname, address: node-a}
              - {type: ExternalIP, address: 198.51.100.111}
            """)
        guard case .node(let node) = object else { throw WrongKind() }
        #expect(
            node.addresses == [
                NodeAddress(.internalIP, try address("172.20.0.11")),
                NodeAddress(.internalIP, try address("fd00:172:20::11")),
                NodeAddress(.externalIP, try address("198.51.100.111")),
            ])
        #expect(node.podCIDRs == [try cidr("10.244.1.0/24"), try cidr("fd00:10:244:1::/64")])
        #expect(node.zone == "north-1")
        #expect(node.taints == ["dedicated"] && !node.isLeaving)
    }

    @Test(
        "a Node that is being deleted, or that the autoscaler is about to delete, is leaving",
        arguments: [
            ("metadata: {name: a, deletionTimestamp: 2026-11-02T08:00:03Z}", true),
            ("metadata: {name: a}, spec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}", true),
            ("metadata: {name: a}, spec: {taints: [{key: node.kubernetes.io/unschedulable}]}", false),
        ])
    func leavingNode(fields: String, isLeaving: Bool) throws {
        guard case .node(let node) = try onlyObject("{apiVersion: v1, kind: Node, \(fields)}") else {
            throw WrongKind()
        }
        #expect(node.isLeaving == isLeaving)
    }

    @Test(
        "what a Node says of its network is read from its condition",
        arguments: [
            (#"[{type: Ready, status: "True"}, {type: NetworkUnavailable, status: "False"}]"#, false as Bool?),
            (#"[{type: NetworkUnavailable, status: "True", reason: NoRouteCreated}]"#, true),
            ("[{type: NetworkUnavailable, status: Unknown}]", nil), (#"[{type: Ready, status: "True"}]"#, nil),
            ("null", nil),
        ])
    func nodeNetwork(conditions: String, isUnavailable: Bool?) throws {
        let object = try onlyObject(
            "{apiVersion: v1, kind: Node, metadata: {name: a}, status: {conditions: \(conditions)}}")
        guard case .node(let node) = object else { throw WrongKind() }
        #expect(node.networkIsUnavailable == isUnavailable)
    }

    @Test("a Node with only podCIDR has that range")
    func oldNode() throws {
        let object = try onlyObject(
            "{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDR: 10.0.0.0/24, podCIDRs: null}}")
        guard case .node(let node) = object else { throw WrongKind() }
        #expect(node.podCIDRs == [try cidr("10.0.0.0/24")])
    }

    @Test("a Pod without spec and status is pending and has nothing")
    func emptyPod() throws {
        let pod = try pod("spec: null")
        #expect(pod == Pod(meta: pod.meta))
        #expect(pod.phase == .pending && pod.nodeName == nil && !pod.isReady && !pod.usesHostNetwork)
    }

    @Test("a Pod has its place, state and addresses")
    func runningPod() throws {
        let pod = try pod(
            """
            spec: {nodeName: node-a, hostNetwork: true}, status: {phase: Running, podIP: 10.0.0.1,
            podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}], conditions: [{type: Ready, status: "True"}]}
            """)
        #expect(pod.nodeName == "node-a" && pod.usesHostNetwork && pod.isReady && pod.phase == .running)
        #expect(pod.addresses == [try address("10.0.0.1"), try address("fd00::1")])
        #expect(pod.liveAddresses == pod.addresses)
    }

    @Test("a Pod is ready only by its Ready condition")
    func readiness() throws {
        let pod = try pod(
            "status: {conditions: [{type: Ready, status: 'False'}, {type: ContainersReady, status: 'True'}]}")
        #expect(!pod.isReady)
    }

    @Test("podIP counts where podIPs is missing")
    func oldPod() throws {
        #expect(try pod("status: {podIP: 10.0.0.1, podIPs: null}").addresses == [try address("10.0.0.1")])
    }

    @Test("a finished Pod holds no address any more", arguments: ["Succeeded", "Failed"])
    func finishedPod(phase: String) throws {
        let pod = try pod("status: {phase: \(phase), podIP: 10.0.0.1}")
        #expect(pod.isFinished && pod.addresses.count == 1 && pod.liveAddresses.isEmpty)
    }

    @Test("ports come from containers and sidecars, not from init containers that end")
    func ports() throws {
        let pod = try pod(
            """
            spec: {initContainers: [
              {name: mesh, restartPolicy: Always,
                ports: [{name: in, containerPort: 15006}, {name: http, containerPort: 1}]},
              {name: seed, ports: [{name: seed, containerPort: 9}]}],
            containers: [{name: web, ports: [{name: http, containerPort: 8080, protocol: TCP},
              {name: http, containerPort: 8081, protocol: UDP}, {containerPort: 132, protocol: SCTP}]}, {name: idle}]}
            """)
        #expect(
            pod.ports == [
                ContainerPort(name: "http", port: 8080), ContainerPort(name: "http", protocol: .udp, port: 8081),
                ContainerPort(protocol: .sctp, port: 132), ContainerPort(name: "in", port: 15006),
                ContainerPort(name: "http", port: 1),
            ])
        #expect(pod.port(named: "http", protocol: .tcp) == 8080)
        #expect(pod.port(named: "http", protocol: .udp) == 8081)
        #expect(pod.port(named: "in", protocol: .tcp) == 15006)
        #expect(pod.port(named: "in", protocol: .udp) == nil)
        #expect(pod.port(named: "seed", protocol: .tcp) == nil)
    }
}
