import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Who reaches the frontends from elsewhere, who the pods take them for, and what is too large for one packet.
    @Suite(.serialized) struct ClientAddresses {
        @Test(
            .shows(
                .nodePortFromOtherNode, .loadBalancerFromOtherNode, .externalIPFromOtherNode, .externalLocalKeepsClient,
                .externalClusterTranslates, .clusterIPKeepsClient, .balancerKeepsClient, .fragments))
        func clientsElsewhereAreServedAndTheirAddressesAreTranslatedWhereTheyMustBe() async throws {
            try await withOutside { world in
                try await Self.serveOthers(world)
                for question in world.questions {
                    for client in [world.lab.node("node-b"), world.lab.pod("web-3")] {
                        try await world.expect(question, OutsideWorld.pods, from: client)
                    }
                    question.rowFromOtherNode.seen(question)
                    try await expectClient(world, question)
                }
                try await expectPodIsKnown(world)
                try await expectLargeDatagrams(world)
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        private static let near = Peers(name: "near", pod: "web-1", policy: "Local", tcp: 30091, udp: 30092)
        private static let far = Peers(name: "far", pod: "web-3", policy: "Cluster", tcp: 30093, udp: 30094)

        private static let peerVIPs = [
            [ip("10.96.2.1"), ip("fd00:10:96::2:1")], [ip("10.96.2.2"), ip("fd00:10:96::2:2")],
        ]

        /// A Service of one pod that tells each client who it is for it.
        private struct Peers {
            let name: String
            let pod: String
            let policy: String
            let tcp: Port
            let udp: Port

            func port(_ ipProtocol: IPProtocol) -> Port { ipProtocol == .udp ? udp : tcp }

            func manifest(_ lab: Lab, _ clusterIPs: [IPAddress]) -> String {
                let ports = [(IPProtocol.tcp, tcp), (.udp, udp)].map {
                    Manifest.ServicePort(ipProtocol: $0.0, port: $0.1, target: PeerProbe.port)
                }
                let text = Manifest.service(
                    name, clusterIPs: clusterIPs, ports: ports, endpoints: lab.pod(pod).addresses
                )
                .replacing(
                    "type: ClusterIP",
                    with: """
                        type: LoadBalancer
                          externalTrafficPolicy: \(policy)
                          externalIPs: [\(OutsideWorld.externals.map { "\"\($0)\"" }.joined(separator: ", "))]
                        """
                )
                .replacing(
                    "metadata: {name: \(name),",
                    with: """
                        status: {loadBalancer: {ingress: [\(OutsideWorld.balancers.map { "{ip: \"\($0)\"}" }
                                .joined(separator: ", "))]}}
                        metadata: {name: \(name),
                        """
                )
                .replacing("port: \(tcp)}", with: "port: \(tcp), nodePort: \(tcp)}")
                .replacing("port: \(udp)}", with: "port: \(udp), nodePort: \(udp)}")
                return pod == "web-3" ? text.replacing("nodeName: node-a", with: "nodeName: node-b") : text
            }
        }

        /// Serves what tells clients who they are, and lets the other node know the way to the frontends.
        private static func serveOthers(_ world: OutsideWorld) async throws {
            let texts = zip([near, far], peerVIPs).map { $0.manifest(world.lab, $1) }
            try world.agent.manifests.write("peers.yaml", Manifest.file(texts))
            for peers in [near, far] { try await PeerProbe.serve(on: world.lab.pod(peers.pod)) }
            for address in OutsideWorld.balancers + OutsideWorld.externals {
                let gateway = world.agent.node.addresses[address.isIPv4 ? 0 : 1]
                try await world.lab.node("node-b").output(
                    ["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
            }
            try await eventually("the Services that tell clients who they are") {
                let list = try await world.agent.apus("service", "list").output
                return list.contains(":30091/TCP") && list.contains(":30094/UDP")
            }
        }

        private func expectClient(_ world: OutsideWorld, _ question: OutsideQuestion) async throws {
            let index = question.isIPv4 ? 0 : 1
            let cases = [
                (Self.near, world.outside.addresses[index], ServiceRow.externalLocalKeepsClient),
                (Self.far, world.agent.node.addresses[index], .externalClusterTranslates),
            ]
            for (peers, client, row) in cases {
                let outcome = try await world.outside.ask(
                    world.address(question), peers.port(question.ipProtocol), over: question.ipProtocol)
                #expect(outcome == .answered("\(client)"), "\(question) of \(peers.name)")
                row.seen(question)
            }
        }

        /// By a pod of its own node, and by one of another.
        private func expectPodIsKnown(_ world: OutsideWorld) async throws {
            let client = world.lab.pod("web-2")
            for (peers, vips) in zip([Self.near, Self.far], Self.peerVIPs) {
                for path in EchoPath.all where !path.unconnected {
                    let outcome = try await client.ask(
                        vips[path.family], peers.port(path.ipProtocol), over: path.ipProtocol, covered: path.covered)
                    #expect(outcome == .answered("\(client.addresses[path.family])"), "\(path) of \(peers.name)")
                    ServiceRow.clusterIPKeepsClient.seen(path)
                }
            }
            for path in EchoPath.all where !path.unconnected {
                let outcome = try await client.ask(
                    OutsideWorld.balancers[path.family], Self.near.port(path.ipProtocol), over: path.ipProtocol,
                    covered: path.covered)
                #expect(outcome == .answered("\(client.addresses[path.family])"), "\(path) at the load balancer")
                ServiceRow.balancerKeepsClient.seen(path)
            }
        }

        private func expectLargeDatagrams(_ world: OutsideWorld) async throws {
            for question in world.questions where question.ipProtocol == .udp {
                let (address, port) = world.destination(question)
                #expect(try await world.outside.exchangesLarge(address, port), "\(question)")
                let vip = Echo.addresses[question.isIPv4 ? 0 : 1]
                for covered in [true, false] {
                    let pod = world.lab.pod("web-1")
                    #expect(try await pod.exchangesLarge(vip, Echo.udpPort, covered: covered), "\(vip)")
                }
                ServiceRow.fragments.seen(question)
            }
        }
    }
}

/// Servers that answer each client with the address that it has for them.
enum PeerProbe {
    static let port: Port = 8090

    /// It takes the requests of `apus-traffic ask`, whose answer is a name, here the address, and the request itself.
    private static let script = """
        import socket, sys, threading

        def told(text, peer):
            return peer[0].encode() + b"\\n" + text

        def datagrams(server):
            while True:
                text, peer = server.recvfrom(2000)
                server.sendto(told(text, peer), peer)

        def connections(server):
            while True:
                connection, peer = server.accept()
                try:
                    connection.sendall(told(connection.recv(2000), peer))
                except OSError:
                    pass
                connection.close()

        port = int(sys.argv[1])
        for family, own in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            for kind, answer in ((socket.SOCK_DGRAM, datagrams), (socket.SOCK_STREAM, connections)):
                server = socket.socket(family, kind)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                server.bind((own, port))
                if kind == socket.SOCK_STREAM:
                    server.listen()
                threading.Thread(target=answer, args=(server,), daemon=True).start()
        print("listening", flush=True)
        threading.Event().wait()
        """

    static func serve(on host: LabHost) async throws {
        let server = try host.spawn(["python3", "-c", script, "\(port)"])
        try await eventually("a server that tells clients who they are on \(host.name)") {
            if let result = server.result { throw LabError("serve on \(host.name)", result.errors) }
            return server.lines.contains("listening")
        }
    }
}
