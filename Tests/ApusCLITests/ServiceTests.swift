import Testing

@testable import ApusCLI

@Suite struct `apus service and apus backend` {
    @Test func `a Service with all its frontends and backends`() async {
        let outcome = await run("service", "get", "shop/cart")
        #expect(
            outcome.output == """
                shop/cart:http  10.96.0.10:80/TCP  ClusterIP  clients keep their backend for 600 s
                  10.244.0.5:8080
                  10.244.0.6:8080
                  10.244.0.7:8080
                  10.244.0.8:8080
                  10.244.0.9:8080

                """)
        #expect(await run("service", "get", "shop/gone").output.hasSuffix("  none: refuses\n"))
        let json = await run("service", "get", "shop/cart", "-o", "json").output
        #expect(json.contains("\"affinity_seconds\" : 600") && !json.contains("gone"))
    }

    @Test(arguments: ["shop/nothing", "cart", "/cart", ""])
    func `a Service that is not there is an error that says where the names are`(name: String) async {
        let outcome = await run("service", "get", name)
        #expect(outcome.code == 2 && outcome.output.isEmpty && outcome.notes.contains("`apus service list`"))
    }

    @Test func `backends with the Services that lead to them`() async {
        let lines = await run("backend", "list").output.split(separator: "\n")
        #expect(lines.count == 6)
        #expect(lines.first?.split(separator: " ").map(String.init) == ["BACKEND", "POD", "SERVICES"])
        #expect(
            lines.dropFirst().first.map { $0.contains("10.244.0.5:8080/TCP") && $0.contains("shop/cart:http") } == true)
    }

    @Test func `a backend of two frontends is one backend`() {
        func row(_ service: String, _ ipProtocol: String) -> ServiceRow {
            ServiceRow(
                namespace: "shop", service: service, portName: nil, address: "10.96.0.1", port: 80,
                ipProtocol: ipProtocol, backends: [.init(address: "10.244.0.5", port: 8080, pod: "shop/cart-0")])
        }
        let rows = BackendRow.rows(of: [row("cart", "TCP"), row("till", "TCP"), row("cart", "TCP"), row("cart", "UDP")])
        #expect(rows.map(\.ipProtocol) == ["TCP", "UDP"])
        #expect(rows.map(\.services) == [["shop/cart", "shop/till"], ["shop/cart"]])
    }

    private func trace(_ frontend: String, _ more: String...) async throws -> Outcome {
        var outcome: Outcome?
        let arguments = ["service", "trace", "--from", "shop/cart-0", "--to", frontend] + more
        try await withAgent(FakeAgent()) { socket in outcome = await run(arguments: arguments, socket: socket) }
        return try #require(outcome)
    }

    @Test func `a trace names each endpoint and why it does not serve`() async throws {
        let outcome = try await trace("10.96.0.10:80")
        #expect(
            outcome.output == """
                shop/cart-0 (node-a, zone north) -> TCP 10.96.0.10:80 shop/cart:http (ClusterIP)
                  the ready endpoints serve whose hints name this node's zone
                  session affinity: the client keeps its endpoint for 600 s after its last connection
                  ENDPOINT         NODE    ZONE   SLICE   SERVES
                  10.244.0.5:8080  node-a  north  cart-1  yes (the client itself)
                  10.244.1.9:8080  node-b  south  cart-1  no: its hints name other zones

                """)
        #expect(outcome.code == 0)
        let json = try await trace("10.96.0.10:80", "-o", "json").output
        #expect(json.contains("\"excluded\" : \"hinted_for_other_zones\""))
    }

    @Test func `a trace to a Service that refuses exits with 1`() async throws {
        let outcome = try await trace("[fd00::10]:81", "--protocol", "UDP")
        #expect(outcome.code == 1 && outcome.output.contains("-> UDP fd00::10:81"))
        #expect(outcome.output.contains("can serve: connections are refused\n"))
    }

    @Test(arguments: [
        ["10.96.0.10", "--port", "80"], ["10.96.0.10:http"], ["10.96.0.10", "--port", "http"], ["shop/cart:80"],
        ["shop/cart:http"], ["shop/cart", "--port", "http"],
    ])
    func `a frontend is named as a destination is elsewhere`(words: [String]) async throws {
        var outcome: Outcome?
        let arguments = ["service", "trace", "--from", "10.244.0.5", "--to"] + words
        try await withAgent(FakeAgent()) { socket in outcome = await run(arguments: arguments, socket: socket) }
        #expect(
            outcome?.output.hasPrefix("shop/cart-0 (node-a, zone north) -> TCP 10.96.0.10:80 ") == true, "\(outcome)")
    }

    @Test func `a Service by name has a list of traces, for JSON`() async throws {
        #expect(try await trace("shop/cart:http", "-o", "json").output.hasPrefix("["))
        #expect(try await trace("10.96.0.10:http", "-o", "json").output.hasPrefix("{"))
    }

    @Test(arguments: ["10.96.0.10", "10.96.0.10:0", "web:80", "shop/cart", "fd00::10]:80", "[10.96.0.10]:80x/"])
    func `what is no frontend is wrong usage`(frontend: String) async throws {
        #expect(try await trace(frontend).code == 64)
    }

    @Test(arguments: [
        ("shop/nothing:80", "`apus service list`"),
        ("shop/cart:81", "Service shop/cart has no TCP port 81: it has TCP 80"),
        ("shop/cart:dns", "Service shop/cart has no TCP port dns: it has TCP 80 (http)"),
    ])
    func `a Service or port that the maps don't have is no answer`(frontend: String, reason: String) async throws {
        let outcome = try await trace(frontend)
        #expect(outcome.code == 2 && outcome.notes.contains(reason), "\(outcome)")
    }
}
