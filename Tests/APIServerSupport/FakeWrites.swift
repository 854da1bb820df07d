internal import Foundation

/// What the server lets an agent write: Events, and the status of Nodes.
extension FakeAPIServer {
    /// The path of all Events.
    public static let events = "/api/v1/events"
    private static let nodes = "/api/v1/nodes"

    /// Answers a request that writes.
    func write(_ request: HTTPRequest, _ writer: HTTPWriter) async throws {
        let type = request.method == "POST" ? "application/json" : "application/strategic-merge-patch+json"
        guard request.headers["content-type"] == type else {
            return try await refuse(
                415, "UnsupportedMediaType", "the body of the request was in an unknown format", writer)
        }
        guard let body = try? JSONSerialization.jsonObject(with: Data(request.body)) as? [String: Any] else {
            return try await refuse(400, "BadRequest", "the body is no object", writer)
        }
        let parts = request.path.split(separator: "/").map(String.init)
        switch (request.method, parts.count) {
        case ("POST", 5) where parts[2] == "namespaces" && parts[4] == "events":
            try await create(body, in: parts[3], writer)
        case ("PATCH", 6) where parts[2] == "namespaces" && parts[4] == "events":
            try await patch(Self.events, parts[3], parts[5], writer) { $0.merging(body) { $1 } }
        case ("PATCH", 5) where parts[2] == "nodes" && parts[4] == "status":
            try await patch(Self.nodes, "", parts[3], writer) { Self.withConditions(of: body, in: $0) }
        default: try await refuse(403, "Forbidden", "\(request.method) \(request.path) is forbidden", writer)
        }
    }

    /// Makes an Event; its namespace is that of the object that it is about, `default` for one without.
    private func create(_ event: [String: Any], in namespace: String, _ writer: HTTPWriter) async throws {
        let meta = event["metadata"] as? [String: Any] ?? [:]
        let subject = event["involvedObject"] as? [String: Any] ?? [:]
        guard let name = meta["name"] as? String, meta["namespace"] as? String == namespace else {
            return try await refuse(400, "BadRequest", "the namespace does not match that of the request", writer)
        }
        guard subject["namespace"] as? String ?? "default" == namespace else {
            return try await refuse(
                422, "Invalid", "involvedObject.namespace: Invalid value: does not match event.namespace", writer)
        }
        guard await cluster.json(Self.events, namespace: namespace, name: name) == nil else {
            return try await refuse(409, "AlreadyExists", "events \(name) already exists", writer)
        }
        try await cluster.put(Self.events, try Self.text(event))
        try await writer.answer(201, try Self.text(event))
    }

    /// Changes an object that is there.
    private func patch(
        _ resource: String, _ namespace: String, _ name: String, _ writer: HTTPWriter,
        _ change: ([String: Any]) -> [String: Any]
    ) async throws {
        guard let json = await cluster.json(resource, namespace: namespace, name: name),
            let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
        else { return try await refuse(404, "NotFound", "\(name) not found", writer) }
        let changed = try Self.text(change(object))
        try await cluster.put(resource, changed)
        try await writer.answer(200, changed)
    }

    /// A Node with the conditions of a patch, which are merged by their type; the rest of a patch changes no status.
    private static func withConditions(of patch: [String: Any], in node: [String: Any]) -> [String: Any] {
        let patched = (patch["status"] as? [String: Any])?["conditions"] as? [[String: Any]] ?? []
        var (node, status) = (node, node["status"] as? [String: Any] ?? [:])
        let types = Set(patched.compactMap { $0["type"] as? String })
        let others = (status["conditions"] as? [[String: Any]] ?? []).filter {
            !types.contains($0["type"] as? String ?? "")
        }
        status["conditions"] = others + patched
        node["status"] = status
        return node
    }

    private static func text(_ object: [String: Any]) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
    }
}
