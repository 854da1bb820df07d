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
            "endpointslices.json": Self.list(fixture.services.flatMap(Self.endpointSlices)),
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

    /// What the server may get besides, from addresses outside.
    static func policy(from range: CIDR, to port: Port) -> String {
        #"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",\#(meta("outside")),"#
            + #""spec":{"podSelector":{"matchLabels":{"app":"server"}},"policyTypes":["Ingress"],"#
            + #""ingress":[{"from":[{"ipBlock":{"cidr":"\#(range)"}}],"ports":[{"port":\#(port)}]}]}}"# + "\n"
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
        let ports = service.ports.map {
            #"{"name":"\#($0.name)","protocol":"\#($0.ipProtocol)","port":\#($0.port),"targetPort":\#($0.port)"#
                + ($0.nodePort.map { #","nodePort":\#($0)}"# } ?? "}")
        }
        let type = service.ports.contains { $0.nodePort != nil } ? "NodePort" : "ClusterIP"
        return #"{"apiVersion":"v1","kind":"Service",\#(meta(service.name)),"#
            + #""spec":{"type":"\#(type)","clusterIP":"\#(service.clusterIP)","clusterIPs":["\#(service.clusterIP)"],"#
            + #""ipFamilies":["IPv4"],"selector":{"app":"server"},"ports":[\#(ports.joined(separator: ","))]}}"#
    }

    /// A slice for the ports of each set of endpoints.
    private static func endpointSlices(_ service: ServiceFixture.Service) -> [String] {
        let sets = service.ports.reduce(into: [[IPAddress]]()) {
            if !$0.contains($1.endpoints) { $0.append($1.endpoints) }
        }
        return sets.enumerated().map { number, endpoints in
            endpointSlice(
                "\(service.name)-\(number)", of: service.name, endpoints,
                service.ports.filter { $0.endpoints == endpoints })
        }
    }

    private static func endpointSlice(
        _ name: String, of service: String, _ endpoints: [IPAddress], _ ports: [ServiceFixture.Port]
    ) -> String {
        let ports = ports.map { #"{"name":"\#($0.name)","protocol":"\#($0.ipProtocol)","port":\#($0.port)}"# }
        let endpoints = endpoints.map {
            #"{"addresses":["\#($0)"],"conditions":{"ready":true,"serving":true,"terminating":false}}"#
        }
        let labels = ["kubernetes.io/service-name": service]
        return #"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice",\#(meta(name, labels: labels)),"#
            + #""addressType":"IPv4","ports":[\#(ports.joined(separator: ","))],"#
            + #""endpoints":[\#(endpoints.joined(separator: ","))]}"#
    }
}
