import Addressing
import AgentAPI
import Flows
import Foundation
import Glibc
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct BadClients {
    /// A request that is refused.
    struct Nonsense: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let request: String
        var code = "bad_request"
    }

    static let nonsense = [
        Nonsense(testDescription: "nothing", request: "\n"),
        Nonsense(testDescription: "no JSON", request: "nonsense\n"),
        Nonsense(testDescription: "no object", request: "[1,2]\n"),
        Nonsense(testDescription: "zero bytes", request: "\u{0}\u{0}\n"),
        Nonsense(testDescription: "unknown request", request: "{\"protocol\":1,\"request\":\"dance\"}\n"),
        Nonsense(testDescription: "no request", request: "{\"protocol\":1}\n"),
        Nonsense(
            testDescription: "wrong type",
            request: "{\"protocol\":1,\"request\":\"flows\",\"query\":{\"last\":\"x\"}}\n"),
        Nonsense(
            testDescription: "other version", request: "{\"protocol\":2,\"request\":\"status\"}\n", code: "incompatible"
        ),
        Nonsense(testDescription: "endless", request: String(repeating: "x", count: 3000)),
        Nonsense(testDescription: "too long", request: String(repeating: "x", count: 3000) + "\n"),
    ]
    static let followAll =
        "{\"protocol\":1,\"request\":\"flows\",\"query\":{\"last\":0,\"follow\":true,\"filter\":{}}}\n"

    @Test(arguments: nonsense)
    func nonsenseIsRefusedWithAReason(nonsense: Nonsense) async throws {
        var limits = patientLimits()
        limits.requestBytes = 2000
        try await withServer(limits: limits) { server, path in
            let answer = try await raw(path) { client in
                client.send(nonsense.request)
                return client.receive()
            }
            #expect(answer.contains(#""code":"\#(nonsense.code)""#) && answer.hasSuffix("}\n"), "\(answer)")
            try await expectAnswer(at: path)
        }
    }

    @Test func aRequestInPiecesIsUnderstood() async throws {
        try await withServer { _, path in
            let answer = try await raw(path) { client in
                for piece in [#"{"proto"#, #"col":1,"req"#, #"uest":"version"}"#, "\nmore"] {
                    client.send(piece)
                    usleep(2000)
                }
                return client.receive()
            }
            #expect(answer.hasSuffix("{\"end\":true}\n"))
        }
    }

    @Test func whoSaysNothingIsCutOff() async throws {
        var limits = AgentServerLimits()
        limits.requestTime = .milliseconds(50)
        try await withServer(limits: limits) { server, path in
            let answer = try await raw(path) { $0.receive() }
            #expect(answer.contains("timed_out"))
            try await eventually("it is gone") { server.openConnections == 0 }
        }
    }

    @Test func whoLeavesDoesNotLeak() async throws {
        let agent = FakeAgent()
        try await withServer(agent) { server, path in
            for request in [
                "", #"{"protocol":1,"#,
                Self.followAll,
            ] {
                for halfOnly in [false, true] {
                    _ = try await raw(path) { client in
                        client.send(request)
                        if halfOnly { client.endWriting() }
                        return halfOnly ? client.receive() : ""
                    }
                }
            }
            try await eventually("all are gone") {
                server.openConnections == 0 && agent.hub.statistics.followers == 0
            }
        }
    }

    @Test func aSlowReaderLosesRecordsAndDelaysNobody() async throws {
        let agent = FakeAgent()
        try await withServer(agent) { server, path in
            let slow = try RawClient(path)
            slow.send(Self.followAll)
            try await eventually("it follows") { agent.hub.statistics.followers == 1 }
            try await eventually("it loses records") {
                agent.produce(1000)
                return agent.hub.statistics.lostByFollowers > 1000
            }
            try await expectAnswer(at: path)
            var text = ""
            try await eventually("it reads of its loss") {
                agent.produce(1)
                text += slow.receive(once: true)
                return text.contains(#""source":"follower""#)
            }
        }
    }

    @Test func aReaderThatStopsIsCutOff() async throws {
        let agent = FakeAgent()
        var limits = patientLimits()
        limits.writeTime = .milliseconds(100)
        try await withServer(agent, limits: limits) { server, path in
            let stuck = try RawClient(path)
            stuck.send(Self.followAll)
            try await eventually("it follows") { agent.hub.statistics.followers == 1 }
            try await eventually("it is gone") {
                agent.produce(1000)
                return server.openConnections == 0
            }
        }
    }

    @Test func tooManyClientsAreToldSo() async throws {
        let agent = FakeAgent()
        var limits = patientLimits()
        limits.connections = 3
        try await withServer(agent, limits: limits) { server, path in
            try await withThrowingTaskGroup { group in
                for _ in 0..<3 {
                    group.addTask { try await patientClient(path).flows(FlowQuery(follow: true)) { _ in } }
                }
                try await eventually("three follow") { agent.hub.statistics.followers == 3 }
                let error = await #expect(throws: AgentError.self) { try await patientClient(path).hello() }
                #expect(error?.code == .busy)
                group.cancelAll()
                while await group.nextResult() != nil {}
            }
            try await eventually("there is room again") { server.openConnections == 0 }
            try await expectAnswer(at: path)
        }
    }

    @Test func waitingPluginsLeaveRoomForOthers() async throws {
        let agent = FakeAgent()
        var limits = patientLimits()
        limits.connections = 4
        limits.waitingAttachments = 2
        try await withServer(agent, limits: limits) { _, path in
            let attach = [
                #"{"protocol":1,"request":"attach","attachment":{"key":{"network":"n","container":"c","interface":"eth0"},"#,
                #""addresses":["10.0.0.1"],"host_interfaces":[],"wait_ms":1}}"#,
            ].joined()
            let first = try RawClient(path)
            let second = try RawClient(path)
            first.send(attach + "\n")
            second.send(attach + "\n")
            try await eventually("two wait") { agent.running.value == 2 }
            try await expectAnswer(at: path)
            _ = consume first
            _ = consume second
        }
    }

    @Test func manyClientsAtOnceAreServed() async throws {
        let agent = FakeAgent()
        agent.produce(100)
        try await withServer(agent) { _, path in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        var count = 0
                        try await patientClient(path).flows(FlowQuery(last: 100)) { _ in count += 1 }
                        return count
                    }
                }
                for try await count in group { #expect(count == 100) }
            }
        }
    }

    private func raw(_ path: String, _ body: @Sendable @escaping (borrowing RawClient) -> String) async throws -> String
    {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { body(try RawClient(path)) })
            }
        }
    }
}
