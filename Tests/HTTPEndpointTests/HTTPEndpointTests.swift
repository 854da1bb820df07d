import AsyncHTTPClient
import HTTPEndpoint
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@Suite struct HTTPEndpointTests {
    /// Beside tests that keep every core busy, an answer takes as long as they do.
    private static let patience: TimeAmount = .minutes(5)

    /// Limits that no test beside this one reaches.
    private static var patient: HTTPLimits {
        var limits = HTTPLimits()
        limits.idleTime = .seconds(600)
        return limits
    }

    /// Serves on a port of the kernel's choice while `body` runs.
    private func serving(
        _ limits: HTTPLimits = patient, _ body: @Sendable (HTTPEndpoint) async throws -> Void
    ) async throws {
        let address = try #require(ListenAddress("127.0.0.1:0"))
        let endpoint = try await HTTPEndpoint(address, flag: "test-address", limits: limits)
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await endpoint.serve { question in
                    if question.path == "/asked" {
                        return HTTPAnswer(200, "\(question.host ?? "nobody") \(question.query)")
                    }
                    guard question.path == "/hello" else { return .notFound }
                    return HTTPAnswer(200, "hello \(question.method)\n")
                }
            }
            defer { group.cancelAll() }
            try await body(endpoint)
        }
    }

    private func ask(
        _ endpoint: HTTPEndpoint, _ path: String, method: HTTPMethod = .GET
    ) async throws -> (HTTPClientResponse, String) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(endpoint.port)\(path)")
        request.method = method
        if method == .POST { request.body = .bytes([UInt8](repeating: 0, count: 100_000)) }
        let response = try await HTTPClient.shared.execute(request, timeout: Self.patience)
        return (response, String(buffer: try await response.body.collect(upTo: 1 << 20)))
    }

    @Test func aQuestionHasItsQueryAndWhoIsAsked() async throws {
        try await serving { endpoint in
            let (_, plain) = try await ask(endpoint, "/asked")
            #expect(plain == "127.0.0.1:\(endpoint.port) ")
            let (_, queried) = try await ask(endpoint, "/asked?a=b?c&d=%2F")
            #expect(queried == "127.0.0.1:\(endpoint.port) a=b?c&d=%2F")
        }
    }

    @Test func answersGetAndHeadOnly() async throws {
        try await serving { endpoint in
            let (got, body) = try await ask(endpoint, "/hello?with=query")
            #expect(got.status == .ok)
            #expect(body == "hello GET\n")
            #expect(got.headers["Content-Type"] == ["text/plain; charset=utf-8"])
            let (head, nothing) = try await ask(endpoint, "/hello", method: .HEAD)
            #expect(head.status == .ok)
            #expect(head.headers["Content-Length"] == ["10"])
            #expect(nothing.isEmpty)
            #expect(try await ask(endpoint, "/other").0.status == .notFound)
            let (refused, _) = try await ask(endpoint, "/hello", method: .POST)
            #expect(refused.status == .methodNotAllowed)
            #expect(refused.headers["Allow"] == ["GET, HEAD"])
        }
    }

    @Test func manyAskAtOnce() async throws {
        try await serving { endpoint in
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<40 { group.addTask { try await ask(endpoint, "/hello").1 } }
                for try await body in group { #expect(body == "hello GET\n") }
            }
        }
    }

    @Test func aConnectionThatAsksNothingIsClosedAndOneTooManyToo() async throws {
        var limits = HTTPLimits()
        limits.connections = 1
        limits.idleTime = .milliseconds(300)
        try await serving(limits) { endpoint in
            // The first one holds the only place until it has been idle for too long.
            let idle = try ChildProcess(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/\(endpoint.port); cat <&3"])
            #expect(await idle.exit(orKillAfter: .seconds(300)).succeeded)
            try await eventually("the place to be free", within: .seconds(300)) {
                try await self.ask(endpoint, "/hello").0.status == .ok
            }
        }
    }

    @Test func whatIsNoRequestIsRefused() async throws {
        try await serving { endpoint in
            let script = "exec 3<>/dev/tcp/127.0.0.1/\(endpoint.port); printf 'hello\\r\\n\\r\\n' >&3; head -n 1 <&3"
            let result = try await run(["bash", "-c", script], within: .seconds(300))
            #expect(result.output.hasPrefix("HTTP/1.1 400"), "\(result)")
        }
    }

    @Test func aPortThatIsTakenIsAnErrorThatNamesTheFlag() async throws {
        try await serving { endpoint in
            let address = try #require(ListenAddress("127.0.0.1:\(endpoint.port)"))
            let error = await #expect(throws: HTTPEndpointError.self) {
                try await HTTPEndpoint(address, flag: "metrics-address")
            }
            let text = error.map { "\($0)" } ?? ""
            #expect(text.contains("can't listen on 127.0.0.1:\(endpoint.port): "), "\(text)")
            #expect(text.contains("--metrics-address"), "\(text)")
        }
    }

    @Test func allOfTheHostMeansBothFamilies() async throws {
        let address = try #require(ListenAddress(":0"))
        let endpoint = try await HTTPEndpoint(address, flag: "test-address", limits: Self.patient)
        try await withThrowingTaskGroup { group in
            group.addTask { try await endpoint.serve { _ in HTTPAnswer(200, "here\n") } }
            defer { group.cancelAll() }
            for host in ["127.0.0.1", "[::1]"] {
                let url = "http://\(host):\(endpoint.port)/"
                let response = try await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: Self.patience)
                #expect(response.status == .ok)
                _ = try await response.body.collect(upTo: 100)
            }
        }
    }

    /// Another socket of the host may get a port as soon as it is free: then it is tried with the next one.
    @Test func whatNeverServesCanBeDiscarded() async throws {
        let address = try #require(ListenAddress("127.0.0.1:0"))
        var isFree = false
        for _ in 0..<10 where !isFree {
            let endpoint = try await HTTPEndpoint(address, flag: "test-address")
            let again = try #require(ListenAddress("127.0.0.1:\(endpoint.port)"))
            await endpoint.discard()
            guard let second = try? await HTTPEndpoint(again, flag: "test-address") else { continue }
            await second.discard()
            isFree = true
        }
        #expect(isFree, "a discarded endpoint listens no more")
    }

    @Test func whatHasConnectedIsLetGoOfWithAnEndpointThatNeverServes() async throws {
        let endpoint = try await HTTPEndpoint(try #require(ListenAddress("127.0.0.1:0")), flag: "test-address")
        for _ in 0..<3 {
            let connect = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/\(endpoint.port)"]
            #expect(try await run(connect, within: .seconds(300)).succeeded)
        }
        await endpoint.discard()
    }
}
