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
            "policies.json": Self.list([Self.serverPolicy, Self.clientPolicy]),
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

    private static let serverPolicy =
        #"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",\#(meta("server")),"#
        + #""spec":{"podSelector":{"matchLabels":{"app":"server"}},"policyTypes":["Ingress"],"ingress":["#
        + #"{"from":[{"podSelector":{"matchLabels":{"app":"client"}}}],"ports":[\#(ports)]}]}}"#

    private static let clientPolicy =
        #"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",\#(meta("client")),"#
        + #""spec":{"podSelector":{"matchLabels":{"app":"client"}},"policyTypes":["Egress"],"egress":["#
        + #"{"to":[{"podSelector":{"matchLabels":{"app":"server"}}}],"ports":[\#(ports)]}]}}"#

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
