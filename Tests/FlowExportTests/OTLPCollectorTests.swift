import APIServerSupport
import FlowExport
import Flows
import Foundation
import NIOSSL
import OTLPClient
import Synchronization
import TestSupport
import Testing

@Suite("A collector of OpenTelemetry")
struct OTLPCollectorTests {
    struct Answered: Sendable {
        let status: UInt
        var retryAfter: String?
        var body = ""
        let delivery: Delivery
    }

    private static func problem(
        _ operation: String, _ text: String, isFinal: Bool = false, _ retryAfter: Duration? = nil
    ) -> DeliveryProblem {
        DeliveryProblem(operation: operation, text: text, isFinal: isFinal, retryAfter: retryAfter)
    }

    @Test(
        "its answers say what becomes of a batch",
        arguments: [
            Answered(status: 200, body: "{}", delivery: Delivery(delivered: 5)),
            Answered(status: 202, body: "not JSON", delivery: Delivery(delivered: 5)),
            Answered(status: 200, body: #"{"partialSuccess":{}}"#, delivery: Delivery(delivered: 5)),
            Answered(
                status: 200, body: #"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#,
                delivery: Delivery(
                    delivered: 3, problem: problem("refuse", "the collector threw away 2: too old", isFinal: true))),
            Answered(
                status: 503, retryAfter: "7", body: #"{"code":14,"message":"full"}"#,
                delivery: Delivery(
                    delivered: 0, problem: problem("answer", "the collector answered 503: full", .seconds(7)))),
            Answered(
                status: 429, retryAfter: "Sun, 01 Mar 2026 10:31:12 GMT",
                delivery: Delivery(
                    delivered: 0, problem: problem("answer", "the collector answered 429", .seconds(10)))),
            Answered(
                status: 429, retryAfter: "99999999",
                delivery: Delivery(
                    delivered: 0, problem: problem("answer", "the collector answered 429", .seconds(600)))),
            Answered(
                status: 502, retryAfter: "soon", body: "<html>\nBad",
                delivery: Delivery(delivered: 0, problem: problem("answer", "the collector answered 502: <html>"))),
            Answered(
                status: 404,
                delivery: Delivery(
                    delivered: 0, problem: problem("refuse", "the collector answered 404", isFinal: true))),
        ])
    func answers(_ answered: Answered) {
        let answer = OTLPAnswer(
            status: answered.status, retryAfter: answered.retryAfter, body: Array(answered.body.utf8))
        // 2026-03-01T10:31:02Z.
        #expect(answer.delivery(of: 5, now: 1_772_361_062) == answered.delivery)
    }

    @Test(
        "a place that is none is told",
        arguments: [
            ("collector:4318", [], "'collector:4318' is no URL such as http://collector:4318"),
            ("http://", [], "'http://' is no URL such as http://collector:4318"),
            ("http://:80", [], "'http://:80' is no URL such as http://collector:4318"),
            (
                "https://user:secret@collector", [],
                "the URL has more than a place and a path; credentials go into headers"
            ),
            ("http://a", ["name"], "a header is NAME=VALUE, and 'name' is no name of one"),
            ("http://a", ["a b=c"], "a header is NAME=VALUE, and 'a b' is no name of one"),
            ("http://a", ["a=b\r\nc: d"], "the value of the header 'a' has a control character"),
        ])
    func mistakes(_ url: String, _ headers: [String], _ problem: String) {
        #expect {
            _ = try OTLPEndpoint(url, headers: headers)
        } throws: {
            "\($0)" == problem
        }
    }

    private static func sink(
        _ url: String, _ signal: OTLPSink.Signal = .logs, headers: [String] = [], authority: String? = nil
    ) throws -> OTLPSink {
        OTLPSink(try OTLPEndpoint(url, headers: headers, authority: authority), signal, limit: .patience) { records in
            Array(records.map(\.bytes).joined())
        }
    }

    @Test("the status counts, however long the rest of the answer is", arguments: [(200, 2), (400, 0)])
    func longAnswers(_ status: Int, _ delivered: Int) async throws {
        let page = String(repeating: "<p>", count: 100_000)
        try await HTTPServer.run(handler: { try await $1.answer(status, page) }) { port in
            let sink = try Self.sink("http://127.0.0.1:\(port)")
            let delivery = await sink.deliver([ExportRecord("one".utf8), ExportRecord("two".utf8)])
            #expect(delivery.delivered == delivered && delivery.problem?.isFinal ?? true, "\(delivery)")
            await sink.close()
        }
    }

    @Test("an answer that breaks off counts by its status, so that nothing is sent twice")
    func brokenAnswers() async throws {
        try await HTTPServer.run(handler: { _, writer in
            try await writer.begin()
            try await writer.chunk("{")
            throw CutConnection()
        }) { port in
            let sink = try Self.sink("http://127.0.0.1:\(port)")
            #expect(await sink.deliver([ExportRecord("one".utf8)]) == Delivery(delivered: 1))
            await sink.close()
        }
    }

    @Test("of metrics the data points count that a collector throws away")
    func points() async throws {
        let answer = #"{"partialSuccess":{"rejectedDataPoints":"3"}}"#
        try await HTTPServer.run(handler: { try await $1.answer(200, answer) }) { port in
            let sink = try Self.sink("http://127.0.0.1:\(port)", .metrics)
            let delivery = await sink.deliver([ExportRecord("all".utf8, events: 500)])
            #expect(delivery.delivered == 497 && delivery.problem?.isFinal == true)
            let counters = ExportCounters(losses: [.refused, .superseded], operations: OTLPSink.operations)
            let exporter = MetricExporter(
                every: .seconds(3600), sink: sink, counters: counters, settings: hurriedSettings()
            ) { ExportRecord("all".utf8, events: 500) }
            let running = Task { await exporter.run() }
            try await eventually("a delivery") { counters.current.events > 0 }
            running.cancel()
            await running.value
            await sink.close()
            #expect(counters.current.events == 497 && counters.current.dropped[.refused] == 3)
        }
    }

    @Test("requests have the path, the headers and the records, over TLS too where the authority is known")
    func requests() async throws {
        let got = Mutex<[HTTPRequest]>([])
        let handler: HTTPServer.Handler = { request, writer in
            got.withLock { $0.append(request) }
            try await writer.answer(200, "{}")
        }
        let records = [ExportRecord("one".utf8), ExportRecord("two".utf8)]
        try await HTTPServer.run(handler: handler) { port in
            let sink = try Self.sink("http://127.0.0.1:\(port)/otlp/", headers: ["Authorization=Bearer a=b"])
            #expect(await sink.deliver(records) == Delivery(delivered: 2))
            await sink.close()
        }
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("KubernetesAPITests/Fixtures/tls").path
        let chain = try NIOSSLCertificate.fromPEMFile("\(folder)/server.crt").map {
            NIOSSLCertificateSource.certificate($0)
        }
        let tls = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: chain,
                privateKey: .privateKey(try NIOSSLPrivateKey(file: "\(folder)/server.key", format: .pem))))
        try await HTTPServer.run(tls: tls, handler: handler) { port in
            let known = try Self.sink("https://127.0.0.1:\(port)", authority: "\(folder)/ca.crt")
            #expect(await known.deliver(records) == Delivery(delivered: 2))
            await known.close()
            let unknown = try Self.sink("https://127.0.0.1:\(port)")
            #expect(await unknown.deliver(records).problem?.operation == "connect")
            await unknown.close()
        }
        let requests = got.withLock { $0 }
        #expect(requests.map(\.path) == ["/otlp/v1/logs", "/v1/logs"])
        #expect(requests.allSatisfy { $0.method == "POST" && String(decoding: $0.body, as: UTF8.self) == "onetwo" })
        #expect(requests.first?.headers["authorization"] == "Bearer a=b")
        #expect(requests.first?.headers["content-type"] == "application/json")
    }

    @Test("where nobody listens it is tried again until somebody does")
    func dead() async throws {
        try await withReservedPort { port in
            let front = Pod("front-1", "10.1.0.1", node: "node-a").peer
            let (hub, sink) = (FlowHub(capacity: 50), try Self.sink("http://127.0.0.1:\(port)"))
            let counters = ExportCounters(losses: [.overwritten, .refused], operations: OTLPSink.operations)
            let exporter = FlowExporter(
                hub, format: OTLPLogFormat(FlowChoice(), node: "node-a", version: "1", started: 0), sink: sink,
                counters: counters, settings: hurriedSettings())
            hub.append(flow(.opened, front, front))
            let running = Task { await exporter.run() }
            try await eventually("failures") { counters.current.failures["connect"] ?? 0 >= 3 }
            #expect(counters.current.isFailing)
            try await HTTPServer.run(port: port, handler: { try await $1.answer(200, "{}") }) { _ in
                try await eventually("the flow") { counters.current.events == 1 }
            }
            running.cancel()
            await running.value
            await sink.close()
            #expect(!counters.current.isFailing && counters.current.dropped[.refused] == 0)
        }
    }

    @Test("one that never answers keeps nobody once that is stopped")
    func stuck() async throws {
        let asked = Mutex(0)
        try await HTTPServer.run(handler: { _, _ in
            asked.withLock { $0 += 1 }
            try await Task.sleep(for: .seconds(3600))
        }) { port in
            let sink = try Self.sink("http://127.0.0.1:\(port)")
            let delivering = Task { await sink.deliver([ExportRecord("one".utf8)]) }
            try await eventually("the request") { asked.withLock { $0 } == 1 }
            delivering.cancel()
            #expect(await delivering.value.problem?.operation == "connect")
            await sink.close()
        }
    }

    @Test("a Retry-After is waited for, and a batch that is refused for good is counted and left")
    func waiting() async throws {
        let answers = Mutex<[(Int, [String])]>([(503, ["Retry-After: 1"]), (400, []), (200, [])])
        try await HTTPServer.run(handler: { _, writer in
            let (status, headers) = answers.withLock { $0.isEmpty ? (200, []) : $0.removeFirst() }
            try await writer.answer(status, "{}", headers: headers)
        }) { port in
            let front = Pod("front-1", "10.1.0.1", node: "node-a").peer
            let (hub, sink) = (FlowHub(capacity: 50), try Self.sink("http://127.0.0.1:\(port)"))
            let counters = ExportCounters(losses: [.overwritten, .refused], operations: OTLPSink.operations)
            var settings = hurriedSettings()
            settings.batch = 2
            let exporter = FlowExporter(
                hub, format: OTLPLogFormat(FlowChoice(), node: "node-a", version: "1", started: 0), sink: sink,
                counters: counters, settings: settings)
            for _ in 0..<4 { hub.append(flow(.opened, front, front)) }
            hub.finish()
            let clock = ContinuousClock()
            let start = clock.now
            await exporter.run()
            await sink.close()
            #expect(clock.now - start >= .seconds(1))
            #expect(counters.current.failures == ["connect": 0, "answer": 1, "refuse": 1])
            #expect(counters.current.dropped[.refused] == 2 && counters.current.events == 2)
        }
    }
}

@Suite("An exporter of metrics")
struct MetricExporterTests {
    /// A sink with an answer for each delivery.
    private final class Answers: FlowSink {
        private let state: Mutex<(answers: [DeliveryProblem?], got: [String])>

        init(_ answers: [DeliveryProblem?]) { state = Mutex((answers, [])) }

        var got: [String] { state.withLock { $0.got } }

        func deliver(_ records: [ExportRecord]) async -> Delivery {
            state.withLock { state in
                state.got += records.map { String(decoding: $0.bytes, as: UTF8.self) }
                let problem = state.answers.isEmpty ? nil : state.answers.removeFirst()
                return Delivery(delivered: problem == nil ? records.count : 0, problem: problem)
            }
        }
    }

    @Test("reads again and again, tries again what failed, and leaves what a newer reading replaces")
    func readings() async throws {
        let soon = DeliveryProblem(operation: "answer", text: "later")
        let late = DeliveryProblem(operation: "answer", text: "later", retryAfter: .milliseconds(60))
        let never = DeliveryProblem(operation: "refuse", text: "no", isFinal: true)
        let sink = Answers([soon, nil, late, never])
        let counters = ExportCounters(losses: [.refused, .superseded], operations: OTLPSink.operations)
        let number = Mutex(0)
        // A clock that stands still: whether a pause is too long depends on nothing else.
        var settings = ExportSettings { 0 }
        settings.firstRetry = .milliseconds(1)
        let exporter = MetricExporter(every: .milliseconds(50), sink: sink, counters: counters, settings: settings) {
            let reading = number.withLock { number in
                number += 1
                return number
            }
            return ExportRecord("\(reading)".utf8, events: 10)
        }
        let running = Task { await exporter.run() }
        try await eventually("five readings") { counters.current.records >= 3 }
        running.cancel()
        await running.value
        #expect(sink.got.prefix(6) == ["1", "1", "2", "3", "4", "5"])
        #expect(counters.current.dropped == [.refused: 10, .superseded: 10])
        #expect(counters.current.failures == ["connect": 0, "answer": 2, "refuse": 1])
    }
}
