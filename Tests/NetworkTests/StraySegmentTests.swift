import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Segments that no connection tracking with windows would let pass.
    @Suite(.serialized) struct StraySegments {
        /// What comes from a pod's own address would be a stranger's for the client, which would reset the pod's
        /// connection.
        @Test(.shows(.straySegments)) func theyAreOfTheServiceAndTheConnectionGoesOn() async throws {
            try await withOutside { world in
                let service = StrayService(world: world)
                try await service.serve()
                for family in [0, 1] {
                    let node = world.agent.node.addresses[family]
                    try await service.expectNoReset(world.outside, at: node, StrayService.nodePort)
                    let vip = StrayService.vips[family]
                    try await service.expectNoReset(world.lab.pod("web-2"), at: vip, StrayService.port, covered: false)
                    ServiceRow.straySegments.seen(.tcp, at: vip)
                }
            }
        }
    }
}

/// A Service of a pod here and one elsewhere, which send segments with odd numbers before they answer.
private struct StrayService {
    let world: OutsideWorld

    static let vips = [ip("10.96.4.1"), ip("fd00:10:96::4:1")]
    static let port: Port = 9000
    static let nodePort: Port = 30900
    private static let target: Port = 9001
    private static let pods = ["web-1", "web-3"]

    /// It takes the requests of `apus-traffic ask`, whose answer is a name and the request itself.
    private static let script = """
        import socket, struct, sys, threading, time

        def checksum(data):
            total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
            while total >> 16:
                total = (total & 0xffff) + (total >> 16)
            return ~total & 0xffff

        # Numbers that are likely to be out of the window, and an acknowledgement of what was never sent.
        def stray(connection, family, number):
            own, peer = connection.getsockname(), connection.getpeername()
            text = b"stray!"
            head = struct.pack("!HHIIBBHHH", own[1], peer[1], number, number, 5 << 4, 0x18, 1000, 0, 0)
            ends = socket.inet_pton(family, own[0]) + socket.inet_pton(family, peer[0])
            check = checksum(ends + struct.pack("!II", len(head) + len(text), socket.IPPROTO_TCP) + head + text)
            return head[:16] + struct.pack("!H", check) + head[18:] + text

        def serve(listener, family):
            raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
            while True:
                connection, peer = listener.accept()
                request = connection.recv(2000)
                for number in (1000, 0x40000000, 0xc0000000):
                    raw.sendto(stray(connection, family, number), (peer[0], 0))
                # Time for what they may bring about.
                time.sleep(0.02)
                try:
                    connection.sendall(sys.argv[2].encode() + b"\\n" + request)
                except OSError:
                    pass
                connection.close()

        for family, own in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            listener = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((own, int(sys.argv[1])))
            listener.listen()
            threading.Thread(target=serve, args=(listener, family), daemon=True).start()
        print("listening", flush=True)
        threading.Event().wait()
        """

    func serve() async throws {
        let ports = [Manifest.ServicePort(ipProtocol: .tcp, port: Self.port, target: Self.target)]
        let text = Manifest.service(
            "stray", clusterIPs: Self.vips, ports: ports, endpoints: Self.pods.flatMap { world.lab.pod($0).addresses }
        )
        .replacing("type: ClusterIP", with: "type: NodePort")
        .replacing("port: \(Self.port)}", with: "port: \(Self.port), nodePort: \(Self.nodePort)}")
        try world.agent.manifests.write("stray.yaml", text)
        for pod in Self.pods {
            let server = try world.lab.pod(pod).spawn(["python3", "-c", Self.script, "\(Self.target)", pod])
            try await eventually("a server on \(pod)") {
                if let result = server.result { throw LabError("serve on \(pod)", result.errors) }
                return server.lines.contains("listening")
            }
        }
        try await eventually("the Service") {
            try await world.agent.apus("service", "list").output.contains(":\(Self.nodePort)/TCP")
        }
    }

    /// Asks until both pods have answered, and has the client's host send no reset.
    func expectNoReset(_ client: LabHost, at address: IPAddress, _ port: Port, covered: Bool = true) async throws {
        let before = try await client.streamCounters()
        var seen: Set<String> = []
        // A pod that is left out of so many has a chance of one in two billion.
        for _ in 0..<32 where seen.count < Self.pods.count {
            let answer = try await client.ask(address, port, covered: covered)
            guard case .answered(let name) = answer else { throw LabError("ask \(address)", "\(answer)") }
            seen.insert(name)
        }
        #expect(seen == Set(Self.pods), "\(client.name) at \(address)")
        let after = try await client.streamCounters()
        #expect(before["OutRsts"] != nil && after["OutRsts"] == before["OutRsts"], "\(client.name) at \(address)")
        // What is from before the window reaches the client, whose kernel takes it for a repetition.
        let repeated = "DelayedACKLost"
        #expect(after[repeated, default: 0] >= before[repeated, default: 0] + Self.pods.count, "\(client.name)")
    }
}
