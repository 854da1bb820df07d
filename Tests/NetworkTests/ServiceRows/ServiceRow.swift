/// What this node does for those that ask for a Service: one row of the table that a run of the tests prints at its end.
///
/// A test declares the rows that it shows by the trait `shows`, and says of each exchange that it has made what it was.
enum ServiceRow: String, CaseIterable, Sendable {
    // Who reaches which frontend.
    case clusterIPAtSocket = "ClusterIP: a pod, at the socket"
    case clusterIPPerPacket = "ClusterIP: a pod, per packet"
    case clusterIPFromNode = "ClusterIP: a process of the node"
    case clusterIPFromOutside = "ClusterIP: a host outside, endpoints near and elsewhere"
    case nodePortAtSocket = "NodePort: a pod, at the socket"
    case nodePortPerPacket = "NodePort: a pod, per packet"
    case nodePortFromNode = "NodePort: a process of the node"
    case nodePortOnLoopback = "NodePort on the loopback: a process of the node"
    case nodePortFromOtherNode = "NodePort: a process and a pod of another node"
    case nodePortFromOutside = "NodePort: a host outside"
    case loadBalancerAtSocket = "LoadBalancer: a pod, at the socket"
    case loadBalancerPerPacket = "LoadBalancer: a pod, per packet"
    case loadBalancerFromNode = "LoadBalancer: a process of the node"
    case loadBalancerFromOtherNode = "LoadBalancer: a process and a pod of another node"
    case loadBalancerFromOutside = "LoadBalancer: a host outside"
    case externalIPAtSocket = "externalIPs: a pod, at the socket"
    case externalIPPerPacket = "externalIPs: a pod, per packet"
    case externalIPFromNode = "externalIPs: a process of the node"
    case externalIPFromOtherNode = "externalIPs: a process and a pod of another node"
    case externalIPFromOutside = "externalIPs: a host outside"

    // What a Service says of itself.
    case clusterIPLeftToHost = "--cluster-ip-from-outside off: a ClusterIP is left to the host's stack"
    case nodePortAddresses = "--nodeport-addresses: node ports on those of the node's addresses only"
    case primaryAddresses = "--nodeport-addresses primary: node ports on those that the Node object names first"
    case proxyMode = "ipMode Proxy: left to the load balancer"
    case loadBalancerClass = "loadBalancerClass, and allocateLoadBalancerNodePorts false: served without node ports"
    case sourceRanges = "loadBalancerSourceRanges: others are dropped, from outside, from pods and from the node"
    case headless = "Headless and ExternalName: nothing is programmed, pods are reached by their own addresses"
    case singleStack = "A Service of one family is served in that one only"
    case otherProxy = "Label service-proxy-name: left to another proxy"
    case headlessSlice = "Label headless of an EndpointSlice: its endpoints are not looked at"

    case paddedAddress = "A ClusterIP with leading zeros in its octets: served at what they are as decimal numbers"

    // A Service that changes.
    case typeChanges = "A Service that becomes ClusterIP, NodePort, LoadBalancer and ExternalName: served as what it is"
    case samePort = "One number for TCP and UDP, as a port and as a node port: each is served by itself"
    case portChanges = "Ports that come and go: those that are left are served, another one is refused"
    case proxyLabelChanges = "Label service-proxy-name, put on and taken away: left alone, and served again"
    case madeAnew = "A Service that is deleted and made anew is served again"

    // Which endpoints serve.
    case manySlices = "Several EndpointSlices of one Service, with ports of their own: all of their endpoints serve"
    case foreignSlices = "EndpointSlices of somebody else, with no node names and no conditions: as any others"
    case hostEndpoints = "Endpoints with hostNetwork, here and elsewhere: a pod, the node and a host outside reach them"
    case hostEndpointsLocal = "Endpoints with hostNetwork and traffic policies Local: the one of the node serves"
    case clusterIPKeepsClient = "ClusterIP: pods here and elsewhere see the address of the pod that asks"
    case balancerKeepsClient = "LoadBalancer, externalTrafficPolicy Local: a pod of the node sees the pod that asks"
    case externalLocalKeepsClient = "externalTrafficPolicy Local: the pod sees the client's address"
    case externalLocalDrops = "externalTrafficPolicy Local: dropped where no endpoint of the node is"
    case healthCheck = "healthCheckNodePort: the number of the node's endpoints, 503 for none"
    case healthCheckTerminating =
        "healthCheckNodePort: 503 where all of the node's endpoints terminate, though they serve"
    case externalClusterTranslates =
        "externalTrafficPolicy Cluster: a pod elsewhere sees the node, and its answer returns"
    case internalLocal = "internalTrafficPolicy Local: endpoints of the node only"
    case internalLocalFromOutside =
        "internalTrafficPolicy Local: a host outside gets endpoints of the node, and is dropped where there are none"
    case zoneHints = "Hints for zones (trafficDistribution PreferSameZone, PreferClose)"
    case nodeHints = "Hints for nodes (trafficDistribution PreferSameNode)"
    case nodeHintsFallBack = "Hints for nodes and zones: none is on the node, then its zone's serve, else all"
    case notReady = "Endpoints that are not ready serve nobody"
    case publishNotReady = "publishNotReadyAddresses: pods that are not ready serve"
    case terminatingFallback = "Without a ready endpoint those that terminate and still serve do"
    case terminatingNear =
        "Traffic policies Local, none of the node is ready: those of the node serve that terminate, whatever is elsewhere"
    case policyChanges =
        "externalTrafficPolicy changed to Cluster and to Local: all endpoints or the node's serve a host outside"
    case terminatingFromOutside =
        "externalTrafficPolicy Cluster, none is ready: those of all nodes that terminate serve a host outside"

    // How one is chosen.
    case random = "random: all endpoints serve"
    case maglev = "--load-balancer-algorithm maglev: all endpoints serve clients outside"
    case maglevAnnotation = "Annotation maglev of a Service: a client's port has its endpoint, again and again"
    case maglevRemoval = "Maglev, one of N endpoints removed: its flows move, and few others"
    case affinityOfPod = "sessionAffinity: one pod for all ports and both ways of a client"
    case affinityOfNode = "sessionAffinity: one pod for a process of the node"
    case affinityFromOutside = "sessionAffinity: one pod for all frontends and ports of a client outside"
    case affinitySwitched = "sessionAffinity switched off and on: all pods serve a pod, then one again"
    case affinityTimeout = "sessionAffinity: kept within timeoutSeconds, chosen anew after them"

    // Where there is nobody to ask.
    case noEndpointsAtSocket = "No endpoints: refused at the socket, of a pod and of the node"
    case noEndpointsPerPacket = "No endpoints: reset or ICMP error per packet"
    case noEndpointsFromOutside = "No endpoints: reset or ICMP error for a host outside"
    case noEndpointsOfClusterIP = "No endpoints, ClusterIP: reset or ICMP error for a host outside"
    case undefinedPort = "A port that no Service has of a Service's address: refused, at the socket and per packet"
    case undefinedPortFromOutside =
        "A port that no Service has of a load balancer's address: refused for a host outside"
    case undefinedPortOfClusterIP = "A port that no Service has of a ClusterIP: refused for a host outside"

    // Connections that look alike.
    case hairpinAtSocket = "Hairpin: a pod reaches itself at the socket"
    case hairpinPerPacket = "Hairpin: a pod is refused by itself per packet"
    case sharedBackendStreams = "One backend behind two Services, from one source port: TCP by both at once"
    case sharedBackendDatagrams =
        "One backend behind two Services, from one source port: UDP by both"
    case sharedBackendOutside =
        "One backend behind all frontends, from one source port of a host outside: by all at once"
    case addressAsEndpoint = "A Service's address as endpoint of another one: that one's pod or nobody"
    case straySegments = "Segments of a pod outside of the window: its client takes them for the Service's, and goes on"

    // Endpoints that go.
    case removedBackendStream = "A removed backend: its TCP connection goes on until it ends by itself"
    case removedBackendAtSocket = "A removed backend: a pod's connected UDP socket is led on"
    case removedBackendPerPacket = "A removed backend: UDP of a pod is led on per packet"
    case removedBackendOfNode = "A removed backend: a connected UDP socket of the node is ended"
    case removedBackendFromOutside = "A removed backend: UDP of a host outside is led on"
    case firstEndpoint = "A first endpoint that gets ready: UDP of one port that was refused so far is led to it"
    case nearEndpointBack =
        "Traffic policies Local, the node's endpoint goes and another one comes: UDP of one port is led to it"
    case removedFromOneService =
        "A backend removed from one of its two Services: UDP through that one is led on at once, of the other it stays"
    case terminatingKeeps = "A terminating backend keeps its connections, new ones go elsewhere"
    case terminatingKeepsDatagrams =
        "A backend that terminates, or is hinted to others, keeps UDP while it serves, also when the agent restarts"
    case terminatingKeepsOutside = "A terminating backend keeps UDP of a host outside while it serves"
    case replacedUnderLoad =
        "All backends replaced 100 times a second: no request fails, none goes to one that was gone"

    // Large packets, and errors about them.
    case closedPort = "ICMP errors: a closed port of the backend refuses at the Service"
    case pathMTUOfPod = "Path MTU discovery through a Service: a pod"
    case pathMTUFromOutside = "Path MTU discovery through a Service: a host outside, both ways"
    case fragments = "Fragmented datagrams, to a ClusterIP, a node port, a load balancer and an externalIP"

    // Ways past the node that was asked, and past its stack.
    case directReturn = "--load-balancer-mode dsr: the backend's node answers, and the pod sees the client"
    case directReturnInOverlay = "--load-balancer-mode dsr with --routing vxlan: the same"
    case hybridReturn = "--load-balancer-mode hybrid: TCP as dsr, UDP by way of the node that was asked"
    case directReturnAtClusterIP = "--load-balancer-mode dsr: so it is at a ClusterIP, too"
    case directReturnInside = "--load-balancer-mode dsr: clients inside the cluster are served"
    case directReturnMTU = "--load-balancer-mode dsr: a client learns how large its datagrams may be"
    case shortcutNative = "--xdp native: established connections of a host outside go past the stack"
    case shortcutGeneric = "--xdp generic: the same"

    // Associations, of a stack that the processes bring with them: the kernel may have none.
    case associationPerPacket = "SCTP, ClusterIP: a pod, per packet"
    case associationFromOutside = "SCTP, NodePort: a host outside, endpoints near and elsewhere"
    case associationLoadBalancer = "SCTP, LoadBalancer: a pod, per packet, and a host outside"
    case associationExternalIP = "SCTP, externalIPs: a pod, per packet, and a host outside"
    case associationSourceRanges = "SCTP, loadBalancerSourceRanges: others are dropped, from outside and from pods"
    case associationLocal = "SCTP, externalTrafficPolicy Local: endpoints of the node only, which see the client"
    case associationAffinity = "SCTP, sessionAffinity: one pod for all frontends of a pod, and of a client outside"
    case associationRefused = "SCTP, no endpoints: an ICMP error per packet"
    case associationRemoved = "SCTP, a removed backend: new associations go to the others"

    // What is told of it.
    case trace = "apus service trace, list and get, backend list: they tell who answers"

    /// In what it can be shown.
    var variants: [ServiceVariant] {
        switch self {
        case .healthCheck, .healthCheckTerminating, .straySegments, .sharedBackendStreams, .removedBackendStream,
            .terminatingKeeps:
            ServiceVariant.tcp
        case .removedBackendAtSocket, .removedBackendPerPacket, .removedBackendOfNode, .removedBackendFromOutside,
            .removedFromOneService, .firstEndpoint, .nearEndpointBack, .terminatingKeepsDatagrams,
            .terminatingKeepsOutside, .sharedBackendDatagrams,
            .closedPort, .fragments, .directReturnMTU:
            ServiceVariant.udp
        case .paddedAddress: ServiceVariant.all.filter(\.isIPv4)
        case .associationPerPacket, .associationFromOutside, .associationLoadBalancer, .associationExternalIP,
            .associationSourceRanges, .associationLocal, .associationAffinity, .associationRefused,
            .associationRemoved:
            ServiceVariant.sctp
        default: ServiceVariant.all
        }
    }
}
