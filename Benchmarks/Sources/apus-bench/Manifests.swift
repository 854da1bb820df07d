import Addressing

/// The Kubernetes objects of a peer, as files of JSON: two pods, what each may do, and the Services.
struct Manifests {
    /// File names and their contents.
    var files: [String: String]

    private static let namespace = "bench"

    init(node: String, nodeAddress: IPAddress, client: IPAddress, server: IPAddress, _ fixture: ServiceFixture) {
        files = [
            "cluster.json": Self.list([
                Self.node(node, nodeAddress), Self.namespaceObject, Self.pod("client", client, on: node, nodeAddress),
                Self.pod("server", server, on: node, nodeAddress),
            ]),
            Self.policyFile: Self.policies(rules: 1),
            "services.json": Self.list(fixture.services.map(Self.service)),
            "endpointslices.json": Self.list(fixture.services.map { Self.endpointSlice($0, server: server) }),
        ]
    }

    private static func list(_ objects: [String]) -> String {
        #"{"apiVersion":"v1","kind":"List","items":["# + "\n" + objects.joined(separator: ",\n") + "\n]}\n"
    }

    private static func meta(_ name: String, labels: [String: String] = [:]) -> String {
        let pairs = labels.sorted { $0.key < $1.key }.map { #""\#($0.key)":"\#($0.value)""# }
        return #""metadata":{"name":"\#(name)","namespace":"\#(namespace)","uid":"uid-\#(name)","labels":{"#
            + pairs.joined(separator: ",") + "}}"
    }

    private static func node(_ name: String, _ address: IPAddress) -> String {
        #"{"apiVersion":"v1","kind":"Node","metadata":{"name":"\#(name)"},"spec":{"podCIDR":"10.244.1.0/24"},"#
            + #""status":{"addresses":[{"type":"InternalIP","address":"\#(address)"}]}}"#
    }

    private static let namespaceObject =
        #"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"\#(namespace)","#
        + #""labels":{"kubernetes.io/metadata.name":"\#(namespace)"}}}"#

    private static func pod(_ name: String, _ address: IPAddress, on node: String, _ host: IPAddress) -> String {
        #"{"apiVersion":"v1","kind":"Pod",\#(meta(name, labels: ["app": name])),"#
            + #""spec":{"nodeName":"\#(node)","containers":[{"name":"main"}]},"#
            + #""status":{"phase":"Running","hostIP":"\#(host)","podIP":"\#(address)","podIPs":[{"ip":"\#(address)"}]}}"#
    }

    private static let ports = Destination.allCases.flatMap { destination in
        ["TCP", "UDP"].map { #"{"protocol":"\#($0)","port":\#(destination.port)}"# }
    }.joined(separator: ",")

    static let policyFile = "policies.json"

    /// What the client may send and the server may get, in so many rules each. The last one of each allows what is
    /// measured; the others are for other pods and ports.
    static func policies(rules: Int) -> String {
        list([
            policy(of: "server", .init(type: "Ingress", rules: "ingress", peers: "from"), peer: "client", rules),
            policy(of: "client", .init(type: "Egress", rules: "egress", peers: "to"), peer: "server", rules),
        ])
    }

    /// How the fields of a direction are called.
    private struct Direction {
        var type: String
        var rules: String
        var peers: String

        func rule(_ app: String, _ ports: String) -> String {
            #"{"\#(peers)":[{"podSelector":{"matchLabels":{"app":"\#(app)"}}}],"ports":[\#(ports)]}"#
        }
    }

    private static func policy(of app: String, _ direction: Direction, peer: String, _ count: Int) -> String {
        let others = (1..<max(1, count)).map {
            direction.rule("other-\($0)", #"{"protocol":"TCP","port":\#(20_000 + $0)}"#)
        }
        let rules = (others + [direction.rule(peer, ports)]).joined(separator: ",")
        return #"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",\#(meta(app)),"#
            + #""spec":{"podSelector":{"matchLabels":{"app":"\#(app)"}},"policyTypes":["\#(direction.type)"],"#
            + #""\#(direction.rules)":[\#(rules)]}}"#
    }

    private static func service(_ service: ServiceFixture.Service) -> String {
        let ports = protocols(service).map {
            #"{"name":"\#($0.lowercased())","protocol":"\#($0)","port":\#(service.port),"targetPort":\#(service.port)}"#
        }
        return #"{"apiVersion":"v1","kind":"Service",\#(meta(service.name)),"#
            + #""spec":{"type":"ClusterIP","clusterIP":"\#(service.clusterIP)","clusterIPs":["\#(service.clusterIP)"],"#
            + #""ipFamilies":["IPv4"],"selector":{"app":"server"},"ports":[\#(ports.joined(separator: ","))]}}"#
    }

    private static func endpointSlice(_ service: ServiceFixture.Service, server: IPAddress) -> String {
        let ports = protocols(service).map {
            #"{"name":"\#($0.lowercased())","protocol":"\#($0)","port":\#(service.port)}"#
        }
        let endpoints = service.endpoints.map {
            #"{"addresses":["\#($0)"],"conditions":{"ready":true,"serving":true,"terminating":false}}"#
        }
        let labels = ["kubernetes.io/service-name": service.name]
        return #"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice",\#(meta(service.name, labels: labels)),"#
            + #""addressType":"IPv4","ports":[\#(ports.joined(separator: ","))],"#
            + #""endpoints":[\#(endpoints.joined(separator: ","))]}"#
    }

    private static func protocols(_ service: ServiceFixture.Service) -> [String] {
        service.isMeasured ? ["TCP", "UDP"] : ["TCP"]
    }
}
