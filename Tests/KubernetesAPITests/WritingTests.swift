import APIServerSupport
import Foundation
import Kubernetes
import KubernetesAPI
import Testing

@Suite("Writing to an API server", .serialized)
struct WritingTests {
    private static let nodes = ObjectKind.node.path

    /// Beside tests that keep every core busy, an answer takes as long as they do.
    private static var patient: APISettings {
        var settings = APISettings()
        settings.connectTimeout = .seconds(300)
        settings.writeTime = .seconds(300)
        return settings
    }

    private func event(_ kind: String = "Pod", namespace: String = "shop", name: String = "web.1") -> ClusterEvent {
        ClusterEvent(
            name: name,
            subject: ClusterEvent.Subject(
                apiVersion: "v1", kind: kind, namespace: namespace, name: "web", uid: "uid-web"),
            isWarning: true, reason: "NoInterface", message: "no route leads to it", node: "node-a",
            time: "2026-03-01T10:31:02Z")
    }

    private func writing(
        _ cluster: FakeCluster, token: String? = nil, _ body: @Sendable (APIWriter) async throws -> Void
    ) async throws {
        try await HTTPServer.run(handler: FakeAPIServer(cluster, token: "right").handle) { port in
            let access = access(port, token: .text(token ?? "right"))
            try await APIWriter.with(access, settings: Self.patient, userAgent: "apusd/test", body)
        }
    }

    private func object(_ json: String?) throws -> [String: Any] {
        let json = try #require(json)
        return try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }

    @Test("an Event is written as client-go writes it, and counted up")
    func events() async throws {
        let cluster = FakeCluster(resources: [FakeAPIServer.events])
        try await writing(cluster) { writer in
            var event = event()
            try await writer.create(event)
            let made = try object(await cluster.json(FakeAPIServer.events, namespace: "shop", name: "web.1"))
            let expected: [String: String] = [
                "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "NoInterface",
                "message": "no route leads to it", "reportingComponent": "apusd", "reportingInstance": "node-a",
                "firstTimestamp": "2026-03-01T10:31:02Z", "lastTimestamp": "2026-03-01T10:31:02Z",
            ]
            for (field, value) in expected { #expect(made[field] as? String == value, "\(field)") }
            #expect(made["source"] as? [String: String] == ["component": "apusd", "host": "node-a"])
            #expect(
                made["involvedObject"] as? [String: String] == [
                    "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web", "uid": "uid-web",
                ])
            (event.count, event.message) = (2, "two routes lead to it")
            event.lastTime = "2026-03-01T11:00:00Z"
            try await writer.update(event)
            let changed = try object(await cluster.json(FakeAPIServer.events, namespace: "shop", name: "web.1"))
            #expect(changed["count"] as? Int == 2)
            #expect(changed["message"] as? String == "two routes lead to it")
            #expect(changed["firstTimestamp"] as? String == "2026-03-01T10:31:02Z")
            #expect(changed["lastTimestamp"] as? String == "2026-03-01T11:00:00Z")
        }
        #expect(await cluster.requests.allSatisfy { $0.headers["user-agent"] == "apusd/test" })
    }

    @Test("an Event about a cluster-scoped object is in namespace default")
    func clusterScoped() async throws {
        let cluster = FakeCluster(resources: [FakeAPIServer.events])
        try await writing(cluster) { try await $0.create(event("Node", namespace: "")) }
        #expect(await cluster.json(FakeAPIServer.events, namespace: "default", name: "web.1") != nil)
    }

    @Test("a Node's condition is merged by its type, and nothing else changes")
    func condition() async throws {
        let cluster = FakeCluster(resources: [Self.nodes])
        try await cluster.put(
            Self.nodes,
            """
            {"kind":"Node","apiVersion":"v1","metadata":{"name":"node-a","labels":{"a":"b"}},"status":{"conditions":[\
            {"type":"Ready","status":"True"},{"type":"NetworkUnavailable","status":"True","reason":"NoRouteCreated"}]}}
            """)
        let condition = NodeCondition(
            type: "NetworkUnavailable", isTrue: false, reason: "ApusIsInForce", message: "it is",
            time: "2026-03-01T10:31:02Z")
        try await writing(cluster) { try await $0.set(condition, ofNode: "node-a") }
        let node = try object(await cluster.json(Self.nodes, name: "node-a"))
        let status = try #require(node["status"] as? [String: Any])
        let conditions = try #require(status["conditions"] as? [[String: String]])
        #expect(conditions.first { $0["type"] == "Ready" } == ["type": "Ready", "status": "True"])
        #expect(
            conditions.first { $0["type"] == "NetworkUnavailable" } == [
                "type": "NetworkUnavailable", "status": "False", "reason": "ApusIsInForce", "message": "it is",
                "lastHeartbeatTime": "2026-03-01T10:31:02Z", "lastTransitionTime": "2026-03-01T10:31:02Z",
            ])
        #expect((node["metadata"] as? [String: Any])?["labels"] as? [String: String] == ["a": "b"])
    }

    @Test("an Event that is not there, a refusal and a server that is away are errors that say so")
    func failures() async throws {
        let cluster = FakeCluster(resources: [FakeAPIServer.events])
        try await writing(cluster) { writer in
            let missing = await #expect(throws: APIWriteError.self) { try await writer.update(event()) }
            #expect(missing?.code == 404)
        }
        try await writing(cluster, token: "wrong") { writer in
            let refused = await #expect(throws: APIWriteError.self) { try await writer.create(event()) }
            #expect(refused?.code == 401 && refused?.description == "the API server answered 401: Unauthorized")
        }
        let nobody = ClusterAccess(server: "http://127.0.0.1:1", authority: .system)
        try await APIWriter.with(nobody, settings: Self.patient, userAgent: "apusd/test") { writer in
            let error = await #expect(throws: APIWriteError.self) { try await writer.create(event()) }
            #expect(error?.code == nil && error?.description.contains("onnection refused") == true)
        }
    }

    @Test("a server that asks to wait says for how long")
    func retryAfter() async throws {
        let answer = try RecordedAnswer(path: recording("errors/429-priority-and-fairness.http"))
        try await HTTPServer.run(handler: { _, writer in try await answer.give(writer) }) { port in
            try await APIWriter.with(access(port), settings: Self.patient, userAgent: "apusd/test") { writer in
                let error = await #expect(throws: APIWriteError.self) { try await writer.create(event()) }
                #expect(error?.code == 429 && error?.retryAfter == 1)
            }
        }
    }

    @Test("a real server's refusal is read")
    func recordedRefusal() async throws {
        let answer = try RecordedAnswer(path: recording("errors/403-write.http"))
        try await HTTPServer.run(handler: { _, writer in try await answer.give(writer) }) { port in
            try await APIWriter.with(access(port), settings: Self.patient, userAgent: "apusd/test") { writer in
                let error = await #expect(throws: APIWriteError.self) { try await writer.create(event()) }
                #expect(error?.code == 403)
                #expect(error?.description.contains("services \"cart\" is forbidden") == true)
            }
        }
    }
}
