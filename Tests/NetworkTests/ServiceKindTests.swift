import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Services, or parts of them, that are not this proxy's: whoever has their address answers, and no pod of theirs.
    @Suite(.serialized) struct ServiceKinds {
        @Test(.shows(.proxyMode, .otherProxy, .headless, .headlessSlice, .singleStack))
        func whatIsNotForThisProxyIsLeftToItsOwners() async throws {
            try await withEcho(more: ["others.yaml": Self.others]) { echo in
                try await Self.serveElsewhere(echo)
                try echo.agent.manifests.write("kinds.yaml", Self.kinds(echo.lab))
                try await eventually("the Services of one family") {
                    let list = try await echo.agent.apus("service", "list").output
                    return list.contains("30081/TCP") && list.contains("30082/TCP")
                }
                let outside = echo.lab.host("outside")
                for path in EchoPath.all {
                    try await expect(echo, path, Shop.internet, ["outside"], .proxyMode)
                    try await expect(echo, path, outside.addresses, ["outside"], .otherProxy)
                    try await expect(echo, path, Self.sliced, ["web-1", "web-2"], .headlessSlice)
                    try await expectPods(echo, path)
                    try await expectFamilies(echo, path)
                }
                let list = try await echo.agent.apus("service", "list").output
                for name in ["default/bare", "default/alias", "default/labelled"] {
                    #expect(!list.contains(name), "\(list)")
                }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        private static let sliced = [ip("10.96.1.9"), ip("fd00:10:96::1:9")]

        /// Names without an address of their own.
        private static let others = """
            apiVersion: v1
            kind: Service
            metadata: {name: alias, namespace: default, uid: uid-alias}
            spec: {type: ExternalName, externalName: shop.test}

            """

        private static func serveElsewhere(_ echo: Echo) async throws {
            let outside = echo.lab.host("outside")
            try await outside.serve(port: Echo.tcpPort)
            // Each by itself: a datagram to one of several addresses is to be answered from that one.
            for address in Shop.internet + outside.addresses {
                try await outside.serve(port: Echo.udpPort, over: .udp, options: ["--listen", "\(address)"])
            }
            for port in [30081, 30082] as [Port] { try await echo.agent.node.serve(port: port) }
            for port in [30054, 30055] as [Port] { try await echo.agent.node.serve(port: port, over: .udp) }
        }

        private static func kinds(_ lab: Lab) -> String {
            let pods = Echo.pods.flatMap { lab.pod($0).addresses }
            func service(_ name: String, _ addresses: [IPAddress]) -> String {
                Manifest.service(name, clusterIPs: addresses, ports: Echo.ports, endpoints: pods)
            }
            let ingress = Shop.internet.map { "{ip: \"\($0)\", ipMode: Proxy}" }.joined(separator: ", ")
            let proxied = service("proxied", [ip("10.96.1.8"), ip("fd00:10:96::1:8")])
                .replacing(
                    "metadata: {name: proxied,",
                    with: "status: {loadBalancer: {ingress: [\(ingress)]}}\nmetadata: {name: proxied,"
                )
                .replacing("type: ClusterIP", with: "type: LoadBalancer")
            let labelled = service("labelled", lab.host("outside").addresses).replacing(
                "uid: uid-labelled}", with: "uid: uid-labelled, labels: {service.kubernetes.io/service-proxy-name: x}}")
            let bare = service("bare", [ip("10.96.1.7")]).replacing("10.96.1.7", with: "None")
            return Manifest.file([proxied, labelled, bare, slices(lab)] + singles(lab))
        }

        /// A Service of two pods, with slices for a third one that say that they are of a headless Service.
        private static func slices(_ lab: Lab) -> String {
            let two = ["web-1", "web-2"].flatMap { lab.pod($0).addresses }
            let third = Manifest.service(
                "sliced", clusterIPs: sliced, ports: Echo.ports, endpoints: lab.pod("web-3").addresses)
            let labelled = third.split(separator: "---\n").dropFirst().map {
                String($0).replacing("name: sliced-", with: "name: more-").replacing(
                    "service-name: sliced}", with: "service-name: sliced, service.kubernetes.io/headless: \"\"}")
            }
            let service = Manifest.service("sliced", clusterIPs: sliced, ports: Echo.ports, endpoints: two)
            return Manifest.file([service] + labelled)
        }

        /// One Service of each family, with node ports.
        private static func singles(_ lab: Lab) -> [String] {
            [
                ("four", ip("10.96.1.4"), "30081", "30054"), ("six", ip("fd00:10:96::1:6"), "30082", "30055"),
            ].map { name, address, tcp, udp in
                Manifest.service(
                    name, clusterIPs: [address], ports: Echo.ports,
                    endpoints: Echo.pods.flatMap { lab.pod($0).addresses }
                )
                .replacing("type: ClusterIP", with: "type: NodePort")
                .replacing("port: 80}", with: "port: 80, nodePort: \(tcp)}")
                .replacing("port: 53}", with: "port: 53, nodePort: \(udp)}")
            }
        }

        private func answering(
            _ echo: Echo, _ path: EchoPath, _ address: IPAddress, _ port: Port
        ) async throws -> Set<String> {
            let report = try await echo.client.load(
                address, port, over: path.ipProtocol, options: ["--count", "20"] + path.options, covered: path.covered)
            #expect(report.failed == 0, "\(path) to \(address):\(port): \(report)")
            return Set(report.ids.keys)
        }

        private func expect(
            _ echo: Echo, _ path: EchoPath, _ addresses: [IPAddress], _ servers: Set<String>, _ row: ServiceRow
        ) async throws {
            let port = path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort
            let found = try await answering(echo, path, addresses[path.family], port)
            #expect(found == servers, "\(path): \(row)")
            row.seen(path)
        }

        /// By their own addresses, as the names of a headless Service have them.
        private func expectPods(_ echo: Echo, _ path: EchoPath) async throws {
            let port: Port = path.ipProtocol == .udp ? 8053 : 8080
            for pod in Echo.pods {
                let found = try await answering(echo, path, echo.lab.pod(pod).addresses[path.family], port)
                #expect(found == [pod], "\(path)")
            }
            ServiceRow.headless.seen(path)
        }

        /// In the other family a port is the node's own.
        private func expectFamilies(_ echo: Echo, _ path: EchoPath) async throws {
            let ports: [Port] = path.ipProtocol == .udp ? [30054, 30055] : [30081, 30082]
            for (family, port) in ports.enumerated() {
                let found = try await answering(echo, path, echo.agent.node.addresses[path.family], port)
                #expect(found == (family == path.family ? Set(Echo.pods) : ["node-a"]), "\(path) to \(port)")
            }
            ServiceRow.singleStack.seen(path)
        }
    }
}
