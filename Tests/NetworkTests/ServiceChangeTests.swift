import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Services that become something else, and endpoints that several EndpointSlices tell of, whoever wrote them.
    @Suite(.serialized) struct ServiceChanges {
        @Test(.shows(.typeChanges, .samePort, .portChanges, .proxyLabelChanges, .madeAnew))
        func aServiceIsServedAsWhatItIsNow() async throws {
            try await withEcho { echo in
                let service = ShiftingService(echo: echo)
                try service.write("ExternalName\n  externalName: shop.test", [])
                try await service.becomeTypes()
                try await service.loseAndGainPorts()
                try await service.beLeftToAnotherProxy()
                try await service.beMadeAnew()
                try service.write("ExternalName\n  externalName: shop.test", [])
                try await service.expect(.refused, at: .nodePort, ShiftingService.paths)
                for path in ShiftingService.paths { ServiceRow.typeChanges.seen(path) }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        private static let vips = [ip("10.96.1.30"), ip("fd00:10:96::1:30")]

        @Test(.shows(.manySlices, .foreignSlices, .paddedAddress)) func endpointsOfAllSlicesServe() async throws {
            try await withEcho { echo in
                try await Self.serveMore(echo)
                let outside = echo.lab.host("outside")
                try echo.agent.manifests.write("many.yaml", Self.many(echo.lab, outside.addresses))
                for path in EchoPath.all where !path.unconnected {
                    // By the second slice it has another port there; a third one has the other port of the Service.
                    try await Self.expect(echo, path, path.ipProtocol == .udp ? 53 : 80, ["web-1", "web-2"])
                    try await Self.expect(echo, path, 81, ["web-3"])
                    ServiceRow.manySlices.seen(path)
                    try await Self.expect(echo, path, 82, ["outside", "web-3"])
                    ServiceRow.foreignSlices.seen(path)
                    if path.family == 0 { ServiceRow.paddedAddress.seen(path) }
                }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        /// What the slices say besides.
        private static func serveMore(_ echo: Echo) async throws {
            for (host, port) in [("web-2", 8090), ("web-3", 8091), ("web-3", 8092)] as [(String, Port)] {
                try await echo.lab.pod(host).serve(port: port)
                try await echo.lab.pod(host).serve(port: port, over: .udp)
            }
            let outside = echo.lab.host("outside")
            try await outside.serve(port: 8092)
            for address in outside.addresses {
                try await outside.serve(port: 8092, over: .udp, options: ["--listen", "\(address)"])
            }
        }

        private static func expect(_ echo: Echo, _ path: EchoPath, _ port: Port, _ servers: Set<String>) async throws {
            try await echo.client.expect(
                servers, at: vips[path.family], port, over: path.ipProtocol, covered: path.covered)
        }

        /// A Service without a selector: a slice for each pod, and such as somebody made who says no more than he must.
        private static func many(_ lab: Lab, _ others: [IPAddress]) -> String {
            var ports = Echo.ports
            for port in [81, 82] as [Port] {
                for ipProtocol in [IPProtocol.tcp, .udp] {
                    ports.append(Manifest.ServicePort(ipProtocol: ipProtocol, port: port, target: 1))
                }
            }
            let service =
                Manifest.service("many", clusterIPs: vips, ports: ports, endpoints: [])
                .split(separator: "---\n").first.map(String.init) ?? ""
            var documents = [service.replacing("10.96.1.30", with: "10.96.1.030")]
            let pods = ["web-1", "web-2", "web-3"].map { lab.pod($0).addresses }
            let says = "conditions: {ready: true}, nodeName: node-a"
            documents += slice("many-1", pods[0], [(.tcp, 80, 8080), (.udp, 53, 8053)], says)
            documents += slice("many-2", pods[1], [(.tcp, 80, 8090), (.udp, 53, 8090)], says)
            documents += slice("many-3", pods[2], [(.tcp, 81, 8091), (.udp, 81, 8091)], says)
            // One pod in two of them is one endpoint.
            for (number, addresses) in [pods[2], pods[2], others].enumerated() {
                documents += slice("hand-\(number)", addresses, [(.tcp, 82, 8092), (.udp, 82, 8092)], nil)
            }
            return Manifest.file(documents)
        }

        /// One of each family.
        private static func slice(
            _ name: String, _ addresses: [IPAddress], _ ports: [(IPProtocol, Port, Port)], _ says: String?
        ) -> [String] {
            let list = ports.map { "{name: \("\($0.0)".lowercased())-\($0.1), protocol: \($0.0), port: \($0.2)}" }
            return addresses.map { address in
                """
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                addressType: \(address.isIPv4 ? "IPv4" : "IPv6")
                metadata:
                  name: \(name)-\(address.isIPv4 ? "v4" : "v6")
                  namespace: default
                  labels: {kubernetes.io/service-name: many, endpointslice.kubernetes.io/managed-by: somebody}
                ports: [\(list.joined(separator: ", "))]
                endpoints: [{addresses: ["\(address)"]\(says.map { ", \($0)" } ?? "")}]

                """
            }
        }
    }
}

/// A Service of all pods that changes.
private struct ShiftingService {
    let echo: Echo

    enum Place { case clusterIP, nodePort, balancer }
    enum Answer { case pods, refused, nothing }

    /// Of each protocol and family one, some at the socket and some per packet.
    static let paths = [(IPProtocol.tcp, 0, true), (.tcp, 1, false), (.udp, 0, false), (.udp, 1, true)].map {
        EchoPath(ipProtocol: $0, family: $1, covered: $2, unconnected: false)
    }
    private static let tcp = paths.filter { $0.ipProtocol == .tcp }
    private static let udp = paths.filter { $0.ipProtocol == .udp }

    private static let vips = [ip("10.96.1.20"), ip("fd00:10:96::1:20")]
    private static let port: Port = 80
    private static let nodePort: Port = 30090
    private static let status =
        "status: {loadBalancer: {ingress: [\(OutsideWorld.balancers.map { "{ip: \"\($0)\"}" }.joined(separator: ", "))]}}\n"

    /// Writes it with this type, which may go on with more of its specification, and with these ports of one number;
    /// without any it has no address either.
    func write(_ type: String, _ protocols: [IPProtocol], hasNodePorts: Bool = true, labels: String = "") throws {
        guard !protocols.isEmpty else {
            try echo.agent.manifests.write("shifting.yaml", Self.bare(type))
            return
        }
        let ports = protocols.map {
            Manifest.ServicePort(ipProtocol: $0, port: Self.port, target: $0 == .udp ? 8053 : 8080)
        }
        let pods = Echo.pods.flatMap { echo.lab.pod($0).addresses }
        let number = type == "ClusterIP" || !hasNodePorts ? "" : ", nodePort: \(Self.nodePort)"
        let text = Manifest.service("shifting", clusterIPs: Self.vips, ports: ports, endpoints: pods)
            .replacing("uid: uid-shifting}", with: "uid: uid-shifting, labels: {\(labels)}}")
            .replacing("type: ClusterIP", with: "type: \(type)")
            .replacing("port: \(Self.port)}", with: "port: \(Self.port)\(number)}")
        try echo.agent.manifests.write("shifting.yaml", (type == "LoadBalancer" ? Self.status : "") + text)
    }

    private static func bare(_ type: String) -> String {
        """
        apiVersion: v1
        kind: Service
        metadata: {name: shifting, namespace: default, uid: uid-shifting}
        spec:
          type: \(type)

        """
    }

    func becomeTypes() async throws {
        try write("ClusterIP", [.tcp])
        try await expect(.pods, at: .clusterIP, Self.tcp)
        try await expect(.refused, at: .clusterIP, Self.udp)
        try write("NodePort", [.tcp])
        try await expect(.pods, at: .nodePort, Self.tcp)
        try write("NodePort", [.tcp, .udp])
        try await expect(.pods, at: .nodePort, Self.paths)
        try write("LoadBalancer", [.tcp, .udp])
        for place in [Place.balancer, .nodePort, .clusterIP] { try await expect(.pods, at: place, Self.paths) }
        for path in Self.paths { ServiceRow.samePort.seen(path) }
        try write("LoadBalancer", [.tcp, .udp], hasNodePorts: false)
        try await expect(.refused, at: .nodePort, Self.paths)
        try await expect(.pods, at: .balancer, Self.paths)
    }

    func loseAndGainPorts() async throws {
        for (kept, others, ipProtocol) in [(Self.udp, Self.tcp, IPProtocol.udp), (Self.tcp, Self.udp, .tcp)] {
            try write("ClusterIP", [ipProtocol])
            try await expect(.refused, at: .clusterIP, others)
            try await expect(.pods, at: .clusterIP, kept)
        }
        try write("ClusterIP", [.tcp, .udp])
        try await expect(.pods, at: .clusterIP, Self.paths)
        for path in Self.paths { ServiceRow.portChanges.seen(path) }
    }

    func beLeftToAnotherProxy() async throws {
        try write("NodePort", [.tcp, .udp], labels: "service.kubernetes.io/service-proxy-name: other")
        try await expect(.refused, at: .nodePort, Self.paths)
        try await expect(.nothing, at: .clusterIP, Self.paths)
        try write("NodePort", [.tcp, .udp])
        for place in [Place.nodePort, .clusterIP] { try await expect(.pods, at: place, Self.paths) }
        for path in Self.paths { ServiceRow.proxyLabelChanges.seen(path) }
    }

    func beMadeAnew() async throws {
        try echo.agent.manifests.remove("shifting.yaml")
        try await expect(.refused, at: .nodePort, Self.paths)
        try await expect(.nothing, at: .clusterIP, Self.paths)
        try write("NodePort", [.tcp, .udp])
        for place in [Place.nodePort, .clusterIP] { try await expect(.pods, at: place, Self.paths) }
        for path in Self.paths { ServiceRow.madeAnew.seen(path) }
    }

    /// Waits until the client sees this, each way: what is left to the host is a closed port where the address is the
    /// node's, and nobody's where it is not.
    func expect(_ answer: Answer, at place: Place, _ paths: [EchoPath]) async throws {
        try await withThrowingTaskGroup { group in
            for path in paths {
                group.addTask {
                    let (address, port) = destination(place, path)
                    if answer == .pods {
                        return try await echo.client.expect(
                            Set(Echo.pods), at: address, port, over: path.ipProtocol, covered: path.covered)
                    }
                    try await eventually("\(path) to see \(answer) at \(place)") {
                        let outcome = try await echo.client.ask(
                            address, port, over: path.ipProtocol,
                            within: .milliseconds(answer == .nothing ? 300 : 5000),
                            covered: path.covered)
                        if case .answered = outcome { return false }
                        return answer == .nothing || outcome == .refused
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func destination(_ place: Place, _ path: EchoPath) -> (IPAddress, Port) {
        switch place {
        case .clusterIP: (Self.vips[path.family], Self.port)
        case .nodePort: (echo.agent.node.addresses[path.family], Self.nodePort)
        case .balancer: (OutsideWorld.balancers[path.family], Self.port)
        }
    }
}
