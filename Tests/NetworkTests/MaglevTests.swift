import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// A Service that chooses by a table, as its annotation says, for flows of a host outside.
    @Suite(.serialized) struct MaglevServices {
        private static let pods = (1...8).map { "web-\($0)" }
        private static let balancers = [ip("203.0.113.1"), ip("2001:db8:113::1")]
        private static let ports = 20001...20160

        private static func service(_ lab: Lab, _ pods: [String]) -> String {
            let ingress = balancers.map { "{ip: \"\($0)\"}" }.joined(separator: ", ")
            return Manifest.service(
                "many", clusterIPs: Echo.addresses, ports: Echo.ports, endpoints: pods.flatMap { lab.pod($0).addresses }
            )
            .replacing(
                "metadata: {name: many, namespace: default, uid: uid-many}",
                with: """
                    status: {loadBalancer: {ingress: [\(ingress)]}}
                    metadata:
                      name: many
                      namespace: default
                      uid: uid-many
                      annotations: {apus.dev/load-balancer-algorithm: maglev}
                    """
            )
            .replacing(
                "type: ClusterIP",
                with: """
                    type: LoadBalancer
                      loadBalancerClass: example.com/one-of-many
                      allocateLoadBalancerNodePorts: false
                    """)
        }

        @Test(.shows(.maglevAnnotation, .maglevRemoval, .loadBalancerClass))
        func flowsStayWhereTheyAreUnlessTheirEndpointGoes() async throws {
            let nodes = [NodePlan("node-a", number: 1, pods: Self.pods)]
            try await withLab(LabPlan(nodes: nodes, outside: [HostPlan("outside", number: 1)])) { lab in
                let agent = try await Self.started(lab)
                let before = try await flows(lab)
                for (variant, first) in before {
                    #expect(Set(first.values) == Set(Self.pods), "\(variant)")
                    ServiceRow.loadBalancerClass.seen(variant.ipProtocol, isIPv4: variant.isIPv4)
                }
                for (variant, again) in try await flows(lab) {
                    #expect(again == before[variant], "\(variant)")
                    ServiceRow.maglevAnnotation.seen(variant.ipProtocol, isIPv4: variant.isIPv4)
                }
                try agent.manifests.write("many.yaml", Self.service(lab, Array(Self.pods.dropLast())))
                var after: [ServiceVariant: [Int: String]] = [:]
                try await eventually("flows to have left the endpoint that is gone") {
                    after = try await flows(lab)
                    return after.values.allSatisfy { !$0.values.contains("web-8") }
                }
                for (variant, flows) in after { expectMoved(variant, before[variant] ?? [:], flows) }
            }
        }

        private static func started(_ lab: Lab) async throws -> AgentProcess {
            let files = [
                "pods.yaml": Manifest.file(pods.map { Manifest.pod(lab.pod($0)) }), "many.yaml": service(lab, pods),
            ]
            let agent = try await AgentProcess.started(
                lab, manifests: try ManifestDirectory(lab, files), options: ["--map-size-slots", "65536"])
            let shown = try await agent.apus("service", "get", "default/many").output
            #expect(shown.contains("maglev (4093 places)"), "\(shown)")
            let list = try await agent.apus("service", "list").output
            #expect(!list.contains("NodePort"), "\(list)")
            for pod in pods {
                try await lab.pod(pod).serve(port: 8080)
                try await lab.pod(pod).serve(port: 8053, over: .udp)
            }
            for address in balancers {
                let gateway = agent.node.addresses[address.isIPv4 ? 0 : 1]
                try await lab.host("outside").output(
                    ["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
            }
            return agent
        }

        /// Connections that are opened anew may move where the table has changed, which is one in a hundred; a datagram
        /// is one of its flow.
        private func expectMoved(_ variant: ServiceVariant, _ before: [Int: String], _ after: [Int: String]) {
            #expect(after.count == Self.ports.count, "\(variant)")
            let moved = before.filter { after[$0.key] != $0.value }
            let ofGone = before.count { $0.value == "web-8" }
            #expect((1..<Self.ports.count / 3).contains(ofGone), "\(variant): \(ofGone)")
            let others = moved.count - ofGone
            #expect(others <= (variant.ipProtocol == .udp ? 0 : Self.ports.count / 20), "\(variant): \(others)")
            ServiceRow.maglevRemoval.seen(variant.ipProtocol, isIPv4: variant.isIPv4)
        }

        /// Who answers each of the client's ports, for each variant. Its connections are reset in the end.
        private func flows(_ lab: Lab) async throws -> [ServiceVariant: [Int: String]] {
            var found: [ServiceVariant: [Int: String]] = [:]
            for variant in ServiceVariant.all {
                let port = variant.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort
                let command = [
                    "python3", "-c", Self.script, "\(variant.ipProtocol)", "\(Self.balancers[variant.isIPv4 ? 0 : 1])",
                    "\(port)", "\(Self.ports.lowerBound)", "\(Self.ports.upperBound)",
                ]
                let lines = try await lab.host("outside").output(command).split(separator: "\n")
                found[variant] = lines.reduce(into: [:]) { flows, line in
                    let words = line.split(separator: " ")
                    if words.count == 2, let port = Int(words[0]) { flows[port] = String(words[1]) }
                }
            }
            return found
        }

        private static let script = """
            import socket, struct, sys
            kind = socket.SOCK_DGRAM if sys.argv[1] == "UDP" else socket.SOCK_STREAM
            family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
            for port in range(int(sys.argv[4]), int(sys.argv[5]) + 1):
                client = socket.socket(family, kind)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.settimeout(60)
                client.bind(("", port))
                client.connect((sys.argv[2], int(sys.argv[3])))
                client.send(b"?\\n")
                print(port, client.recv(100).split(b"\\n")[0].decode())
                client.close()
            """
    }
}
