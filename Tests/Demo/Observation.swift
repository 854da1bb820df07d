import Foundation
import TestSupport

/// The flows of what was shown so far.
extension Stage {
    func observe() async throws {
        transcript.step("Flows: who talked to whom, through which Service, by which rule")
        let opened = try await observed("--kind opened --service shop/web --last 1", until: "visitors/intruder")
        try expect(
            opened.contains("service shop/web:http")
                && opened.contains("NetworkPolicy shop/customers-to-web ingress[0]"),
            or: "the flow should name the Service and the rule of customers-to-web")
        let inner = try await observed("--kind opened --service shop/db --last 1", until: "shop/db-1:5432")
        try expect(
            inner.contains("-> shop/db-1:5432") && inner.contains("NetworkPolicy shop/web-to-db ingress[0]"),
            "An admitted connection names both pods, the Service and the rule that allows it",
            or: "the flow should name the database and the rule of web-to-db")
        let denied = try await observed("--verdict denied --pod intruder --last 1", until: "visitors/intruder")
        try expect(denied.contains("isolates ingress"), or: "the flow should name the policy that isolates web pods")
        let live = try await observed("--verdict denied --pod client --port 8080 --last 1", until: "visitors/client")
        try expect(live.contains("isolates ingress"), or: "the denial of the open connection should name its policy")
        let store = try await observed("--verdict denied --pod db-1 --service shop/web --last 1", until: "shop/db-1")
        try expect(
            store.contains("NetworkPolicy shop/web-to-db isolates egress"),
            "A denied one names the policy that isolates the pod, for an open connection too",
            or: "the flow should name the policy that isolates the database")
        let ended = try await observed("--kind closed --service shop/web --last 1", until: "packets")
        transcript.remember("Flows", "each names its pods, Service, policy and rule")
        try expect(ended.contains("packets"), "A closed one says how much and how long", or: "a closed flow is missing")
    }

    /// Shows flows once a word is among them; they are collected in batches, so the last may come a moment late.
    private func observed(_ filter: String, until word: String) async throws -> String {
        let line = "apus flow observe \(filter)"
        try await eventually("flows of '\(filter)'") { try await agent.apus(line).output.contains(word) }
        return try await showOnNode(line).output
    }
}
