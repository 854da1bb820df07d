import Addressing
import Flows
import Foundation
import HTTPEndpoint
import HubbleFlows
import HubbleServer
import TestSupport
import Testing

/// The same services to a client that neither is written in Swift nor shares a library with the server.
@Suite("Hubble's services to Python's gRPC", .serialized)
struct OtherClientTests {
    private static let tls = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("KubernetesAPITests/Fixtures/tls").path

    private func json(_ line: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test("every method answers, over the socket")
    func methods() async throws {
        try await Served.run { served in
            let client = try await HubbleClient(stubs: served.directory)
            let target = "unix://\(served.socket)"
            func ask(
                _ service: String, _ method: String, _ request: String = "{}", count: Int = 0
            ) async throws -> HubbleClient.Answer {
                try await client.call(target, service, method, request, count: count)
            }
            let all = try await ask("observer.Observer", "GetFlows")
            let parts = Sample.flows.flatMap(FlowPart.parts)
            #expect(all.succeeded && all.lines.count == parts.count, "\(all.lines)")
            let line = try #require(all.lines.first)
            let first = try #require(try json(line)["flow"] as? [String: Any])
            #expect(first["verdict"] as? String == "FORWARDED" && first["Type"] as? String == "L3_L4")
            #expect((first["egress_allowed_by"] as? [[String: Any]])?.first?["name"] as? String == "front-out")
            let masked = try await ask(
                "observer.Observer", "GetFlows", #"{"number": "1", "field_mask": "source.podName,verdict,ipTraceId"}"#)
            #expect(
                masked.lines[0].contains(#""flow": {"verdict": "FORWARDED", "source": {"pod_name": "cart-7"}}"#),
                "\(masked.lines)")
            let followed = try await ask("observer.Observer", "GetFlows", #"{"number": "3", "follow": true}"#, count: 3)
            #expect(followed.succeeded && followed.lines.count == 3)
            let status = try await ask("observer.Observer", "ServerStatus")
            #expect(try json(status.lines[0])["max_flows"] as? String == "100")
            #expect(try await ask("observer.Observer", "GetNodes").lines[0].contains("\"NODE_CONNECTED\""))
            #expect(try await ask("observer.Observer", "GetNamespaces").lines[0].contains("\"kube-system\""))
            #expect(try await ask("peer.Peer", "Notify", count: 1).lines[0].contains("\"PEER_ADDED\""))
            #expect(try await ask("grpc.health.v1.Health", "Check").lines == [#"{"status": "SERVING"}"#])
            #expect(try await ask("grpc.health.v1.Health", "Watch", count: 1).lines == [#"{"status": "SERVING"}"#])
            let events = try await ask("observer.Observer", "GetAgentEvents")
            #expect(events.succeeded && events.lines.count == 1 && events.lines[0].contains("AGENT_STARTED"))
            let debugging = try await ask("observer.Observer", "GetDebugEvents")
            #expect(debugging.succeeded && debugging.lines.isEmpty)
            let refused = try await ask(
                "observer.Observer", "GetFlows", #"{"whitelist": [{"http_method": ["GET"]}]}"#)
            #expect(
                try json(refused.lines[0]) as? [String: String] == [
                    "code": "INVALID_ARGUMENT",
                    "details": "whitelist[0].http_method: flows of Apus have nothing to compare with it",
                ])
        }
    }

    @Test("each filter has its meaning, and what can't be understood is refused")
    func filters() async throws {
        try await Served.run { served in
            let client = try await HubbleClient(stubs: served.directory)
            let cases = FlowMatcherTests.cases.filter { !$0.filter.contains("ip_version") }
            let requests = cases.map(\.filter) + FlowMatcherTests.refused.map(\.0)
            let lines = try await client.callEach(
                "unix://\(served.socket)", "observer.Observer", "GetFlows",
                requests.map { #"{"whitelist": [\#($0)]}"# })
            try #require(lines.count == requests.count)
            for (one, line) in zip(cases, lines) {
                let answers = try #require(
                    try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [[String: Any]], "\(one): \(line)")
                #expect(answers.compactMap { Self.event($0["flow"] as? [String: Any]) } == one.flows, "\(one)")
            }
            for ((filter, problem), line) in zip(FlowMatcherTests.refused, lines.dropFirst(cases.count)) {
                #expect(
                    try json(line) as? [String: String] == ["code": "INVALID_ARGUMENT", "details": problem],
                    "\(filter): \(line)")
            }
        }
    }

    /// Which of the sample's flows it is; nil of a policy's verdict on one.
    private static func event(_ flow: [String: Any]?) -> Int? {
        guard let flow, let id = flow["uuid"] as? String else { return nil }
        let type = (flow["event_type"] as? [String: Any])?["type"] as? Int
        if type == 5 && flow["verdict"] as? String != "AUDIT" { return nil }
        return Int(id.suffix(12), radix: 16).map { $0 - 1 }
    }

    @Test("flows that come are told while it follows")
    func following() async throws {
        try await Served.run { served in
            let client = try await HubbleClient(stubs: served.directory)
            async let followed = client.call(
                "unix://\(served.socket)", "observer.Observer", "GetFlows",
                #"{"follow": true, "whitelist": [{"destination_port": ["7001", "7002"]}]}"#, count: 2)
            try await eventually("it follows") { served.counters.current.streams == 1 }
            for port in UInt16(7000)...7003 {
                served.hub.append(Sample.flow(.closed, Sample.front, Sample.cart, port: port))
            }
            let lines = try await followed.lines
            #expect(lines.count == 2 && lines[0].contains("7001") && lines[1].contains("7002"), "\(lines)")
        }
    }

    @Test("TLS: the server shows its certificate, and asks for the client's where it is told to")
    func security() async throws {
        func file(_ name: String) -> String { "\(Self.tls)/\(name)" }
        for asksClients in [false, true] {
            let security = HubbleServer.Security(
                certificate: file("server.crt"), key: file("server.key"),
                clientAuthority: asksClients ? file("ca.crt") : nil)
            try await Served.run(tls: security) { served in
                let client = try await HubbleClient(stubs: served.directory)
                func status(_ tls: HubbleClient.TLS?) async throws -> HubbleClient.Answer {
                    try await client.call(
                        "127.0.0.1:\(served.port)", "observer.Observer", "ServerStatus", tls: tls)
                }
                let plain = HubbleClient.TLS(authority: file("ca.crt"), name: "127.0.0.1")
                let known = HubbleClient.TLS(
                    authority: file("ca.crt"), name: "127.0.0.1", certificate: file("client.crt"),
                    key: file("client.key"))
                #expect(try await status(known).succeeded)
                #expect(try await status(plain).succeeded == !asksClients)
                #expect(try await !status(nil).succeeded, "without TLS nothing is told")
            }
        }
    }

    @Test("a certificate that is replaced is shown to who connects then, one that is broken never")
    func rotation() async throws {
        let directory = "\(NSTemporaryDirectory())/hubble-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func put(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"), options: .atomic)
        }
        func fixture(_ name: String) throws -> String {
            try String(contentsOfFile: "\(Self.tls)/\(name)", encoding: .utf8)
        }
        // A certificate for clients comes first: its name is not the server's.
        try put("tls.key", fixture("client.key"))
        try put("tls.crt", fixture("client.crt"))
        let security = HubbleServer.Security(
            certificate: "\(directory)/tls.crt", key: "\(directory)/tls.key",
            refreshInterval: .milliseconds(20))
        try await Served.run(tls: security) { served in
            let client = try await HubbleClient(stubs: served.directory)
            func isKnown() async throws -> Bool {
                let tls = HubbleClient.TLS(authority: "\(Self.tls)/ca.crt", name: "127.0.0.1")
                return try await client.call(
                    "127.0.0.1:\(served.port)", "observer.Observer", "ServerStatus", tls: tls
                ).succeeded
            }
            #expect(try await !isKnown())
            try put("tls.crt", fixture("server.crt"))
            try await eventually("a broken pair") { served.counters.current.failedCertificates > 0 }
            #expect(try await !isKnown(), "it is not the certificate of the key")
            try put("tls.key", fixture("server.key"))
            try await eventually("the new certificate") { try await isKnown() }
            try put("tls.crt", "nothing")
            let failed = served.counters.current.failedCertificates
            try await eventually("a broken file") { served.counters.current.failedCertificates > failed }
            #expect(try await isKnown(), "the one before stays in use")
        }
    }

    @Test("with another authority all clients show anew who they are; a broken one is none")
    func authority() async throws {
        let directory = "\(NSTemporaryDirectory())/hubble-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func put(_ text: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/ca.crt"), options: .atomic)
        }
        func fixture(_ name: String) throws -> String {
            try String(contentsOfFile: "\(Self.tls)/\(name)", encoding: .utf8)
        }
        try put(fixture("ca.crt"))
        let security = HubbleServer.Security(
            certificate: "\(Self.tls)/server.crt", key: "\(Self.tls)/server.key",
            clientAuthority: "\(directory)/ca.crt", refreshInterval: .milliseconds(20))
        try await Served.run(tls: security) { served in
            let client = try await HubbleClient(stubs: served.directory)
            let known = HubbleClient.TLS(
                authority: "\(Self.tls)/ca.crt", name: "127.0.0.1", certificate: "\(Self.tls)/client.crt",
                key: "\(Self.tls)/client.key")
            func call(
                _ method: String, _ request: String = "{}", count: Int = 0
            ) async throws -> HubbleClient.Answer {
                try await client.call(
                    "127.0.0.1:\(served.port)", "observer.Observer", method, request, count: count, tls: known)
            }
            func isLetIn() async throws -> Bool { try await call("ServerStatus").succeeded }
            #expect(try await isLetIn())
            async let followed = call("GetFlows", #"{"follow": true}"#)
            try await eventually("a stream") { served.counters.current.streams == 1 }
            // A certificate that has signed none of a client.
            try put(fixture("server.crt"))
            try await eventually("another authority") { try await !isLetIn() }
            let told = try await followed
            #expect(!told.succeeded && told.lines.last?.contains("UNAVAILABLE") == true, "\(told.lines)")
            try put("nothing")
            try await eventually("a broken file") { served.counters.current.failedCertificates > 0 }
            #expect(try await !isLetIn(), "the one before stays in use")
            try put(fixture("ca.crt"))
            try await eventually("the first authority again") { try await isLetIn() }
        }
    }

    @Test("files that are not what they should be are told of before anything listens")
    func brokenFiles() async throws {
        func file(_ name: String) -> String { "\(Self.tls)/\(name)" }
        let cases: [(HubbleServer.Security, String)] = [
            (.init(certificate: "/nowhere", key: file("server.key")), "--hubble-tls-cert: /nowhere is no certificate"),
            (.init(certificate: file("server.crt"), key: "/nowhere"), "--hubble-tls-key: /nowhere is no private key"),
            (.init(certificate: file("server.crt"), key: file("client.key")), "--hubble-tls-key: "),
            (
                .init(certificate: file("server.crt"), key: file("server.key"), clientAuthority: file("server.key")),
                "--hubble-tls-client-ca: "
            ),
        ]
        try await Served.run { served in
            for (security, start) in cases {
                let error = #expect(throws: HubbleServerError.self) {
                    _ = try HubbleServer(
                        .init(address: ListenAddress("127.0.0.1:0"), tls: security), node: "n", version: "1",
                        hub: served.hub, peers: served.peers, counters: served.counters)
                }
                #expect(error?.description.hasPrefix(start) == true, "\(String(describing: error))")
            }
        }
    }
}
