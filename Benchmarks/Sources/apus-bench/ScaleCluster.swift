import Addressing

/// The objects of a large cluster, as an API server has them.
struct ScaleCluster: Sendable {
    static let port: Addressing.Port = 80
    private static let namespaces = 100
    private static let podsOfNode = 100

    var services: Int
    var pods: Int
    /// Of each Service.
    var endpoints: Int

    /// Where the API server has each kind.
    enum Resource: String, CaseIterable {
        case namespaces = "/api/v1/namespaces"
        case nodes = "/api/v1/nodes"
        case pods = "/api/v1/pods"
        case services = "/api/v1/services"
        case slices = "/apis/discovery.k8s.io/v1/endpointslices"
        case networkPolicies = "/apis/networking.k8s.io/v1/networkpolicies"
        case clusterPolicies = "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"
        case namePolicies = "/apis/networking.gke.io/v1alpha1/fqdnnetworkpolicies"
        case logging = "/apis/networking.gke.io/v1alpha1/networkloggings"
    }

    /// Every object, with the path of its list.
    ///
    /// - Parameter node: The agent's, on which none of the pods are.
    func forEachObject(node: String, _ body: (Resource, String) async throws -> Void) async throws {
        for number in 0..<Self.namespaces { try await body(.namespaces, Self.namespaceObject(number)) }
        try await body(.nodes, Self.node(node, 0))
        for number in 0..<(pods + Self.podsOfNode - 1) / Self.podsOfNode {
            try await body(.nodes, Self.node("node-\(number)", number + 1))
        }
        for number in 0..<pods { try await body(.pods, Self.pod(number)) }
        for number in 0..<services {
            try await body(.services, Self.service(number))
            try await body(.slices, slice(number))
        }
    }

    /// Where a Service is reached.
    static func frontend(_ number: Int) -> SocketAddress { SocketAddress(clusterIP(number), port) }

    private static func clusterIP(_ number: Int) -> IPAddress { IPAddress(v4: 0x0a60_0001 + UInt32(number)) }
    private static func podIP(_ number: Int) -> IPAddress { IPAddress(v4: 0x0a80_0001 + UInt32(number)) }
    private static func podIPv6(_ number: Int) -> String { "fd00:10:80::\(String(number + 1, radix: 16))" }
    private static func nodeIP(_ number: Int) -> IPAddress { IPAddress(v4: 0xac14_0001 + UInt32(number)) }
    private static func namespace(_ number: Int) -> String { "team-\(number % namespaces)" }

    private static func namespaceObject(_ number: Int) -> String {
        """
        {"kind":"Namespace","apiVersion":"v1","metadata":{"name":"\(namespace(number))",\
        "labels":{"kubernetes.io/metadata.name":"\(namespace(number))"}},\
        "spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}
        """
    }

    private static func node(_ name: String, _ number: Int) -> String {
        """
        {"kind":"Node","apiVersion":"v1","metadata":{"name":"\(name)","labels":{"kubernetes.io/hostname":"\(name)",\
        "kubernetes.io/os":"linux","topology.kubernetes.io/zone":"zone-\(number % 3)"}},\
        "spec":{"podCIDR":"10.244.0.0/24"},"status":{"addresses":[{"type":"InternalIP","address":"\(nodeIP(number))"},\
        {"type":"Hostname","address":"\(name)"}],"conditions":[{"type":"Ready","status":"True",\
        "lastHeartbeatTime":"2026-11-23T04:53:57Z","reason":"KubeletReady"}]}}
        """
    }

    private static func service(_ number: Int) -> String {
        """
        {"kind":"Service","apiVersion":"v1","metadata":{"name":"service-\(number)",\
        "namespace":"\(namespace(number))","labels":{"app":"app-\(number)"}},"spec":{"type":"ClusterIP",\
        "clusterIP":"\(clusterIP(number))","clusterIPs":["\(clusterIP(number))"],"ipFamilies":["IPv4"],\
        "ipFamilyPolicy":"SingleStack","sessionAffinity":"None","internalTrafficPolicy":"Cluster",\
        "selector":{"app":"app-\(number)"},\
        "ports":[{"name":"http","protocol":"TCP","port":\(port),"targetPort":8080}]},"status":{"loadBalancer":{}}}
        """
    }

    /// The slice of a Service.
    ///
    /// - Parameter notReady: So many of its endpoints are not ready.
    func slice(_ number: Int, notReady: Int = 0) -> String {
        let all = (0..<endpoints).map { place in
            let pod = (number * endpoints + place) % max(pods, 1)
            let isReady = place >= notReady
            return """
                {"addresses":["\(Self.podIP(pod))"],"conditions":{"ready":\(isReady),"serving":\(isReady),\
                "terminating":false},"nodeName":"node-\(pod / Self.podsOfNode)","zone":"zone-\(pod % 3)",\
                "targetRef":{"kind":"Pod","namespace":"\(Self.namespace(pod))","name":"app-\(pod)-7fdb755644-668q5",\
                "uid":"7ea2ea08-a10d-49ff-8b01-\(pod)"}}
                """
        }
        return """
            {"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"service-\(number)-x7k2p",\
            "namespace":"\(Self.namespace(number))","generateName":"service-\(number)-","labels":{"app":"app-\(number)",\
            "endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io",\
            "kubernetes.io/service-name":"service-\(number)"},"ownerReferences":[{"apiVersion":"v1","kind":"Service",\
            "name":"service-\(number)","uid":"67c5c2a7-53b0-4323-a8a9-\(number)","controller":true}]},\
            "addressType":"IPv4","endpoints":[\(all.joined(separator: ","))],\
            "ports":[{"name":"http","port":8080,"protocol":"TCP"}]}
            """
    }
}

extension ScaleCluster {
    /// A pod as long as most are.
    private static func pod(_ number: Int) -> String {
        let name = "app-\(number)-7fdb755644-668q5"
        return """
            {"kind":"Pod","apiVersion":"v1","metadata":{"name":"\(name)","generateName":"app-\(number)-7fdb755644-",\
            "namespace":"\(namespace(number))","creationTimestamp":"2026-11-23T04:53:55Z",\
            "labels":{"app":"app-\(number)","pod-template-hash":"7fdb755644","tier":"tier-\(number % 4)",\
            "version":"v\(number % 7)"},"annotations":{"example.com/scrape":"true"},\
            "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-\(number)-7fdb755644",\
            "uid":"67c5c2a7-53b0-4323-a8a9-\(number)","controller":true}]},\
            "spec":{\(containers),"nodeName":"node-\(number / podsOfNode)","restartPolicy":"Always",\
            "terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default",\
            "schedulerName":"default-scheduler","priority":0,"enableServiceLinks":true,\(tolerations)},\
            "status":{"phase":"Running","qosClass":"Burstable","hostIP":"\(nodeIP(number / podsOfNode + 1))",\
            "podIP":"\(podIP(number))","podIPs":[{"ip":"\(podIP(number))"},{"ip":"\(podIPv6(number))"}],\
            "startTime":"2026-11-23T04:53:56Z","conditions":[\(conditions)],\(containerStatuses)}}
            """
    }

    private static let containers = """
        "volumes":[{"name":"kube-api-access-x7k2p","projected":{"defaultMode":420,"sources":[{"serviceAccountToken":\
        {"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt",\
        "path":"ca.crt"}]}}]}}],"containers":[{"name":"web","image":"registry.example/team/app:4.2.0",\
        "ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],"env":[{"name":"PORT","value":"8080"},\
        {"name":"MODE","value":"production"}],"resources":{"limits":{"memory":"512Mi"},"requests":{"cpu":"250m",\
        "memory":"256Mi"}},"volumeMounts":[{"name":"kube-api-access-x7k2p","readOnly":true,\
        "mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"readinessProbe":{"httpGet":{"path":"/ready",\
        "port":"http","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":5,"successThreshold":1,\
        "failureThreshold":3},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",\
        "imagePullPolicy":"IfNotPresent"}]
        """

    private static let tolerations = """
        "tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute",\
        "tolerationSeconds":300},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute",\
        "tolerationSeconds":300}]
        """

    private static let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map {
        """
        {"type":"\($0)","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-11-23T04:53:57Z"}
        """
    }.joined(separator: ",")

    private static let containerStatuses = """
        "containerStatuses":[{"name":"web","state":{"running":{"startedAt":"2026-11-23T04:53:56Z"}},"lastState":{},\
        "ready":true,"restartCount":0,"image":"registry.example/team/app:4.2.0","started":true}]
        """
}
