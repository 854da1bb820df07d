internal import AsyncHTTPClient
internal import FoundationEssentials
package import Kubernetes
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL

/// Writes what an agent tells of itself to an API server: Events, and conditions of its Node. Nothing else.
package struct APIWriter: Sendable {
    private static let longestAnswer = 1 << 20
    private static let mergePatch = "application/strategic-merge-patch+json"

    private let access: ClusterAccess
    private let userAgent: String
    private let client: HTTPClient
    private let settings: APISettings

    /// What `work` does with a writer; its connections are closed afterwards.
    package static func with<T: Sendable>(
        _ access: ClusterAccess, settings: APISettings = APISettings(), userAgent: String,
        _ work: @Sendable (APIWriter) async throws -> T
    ) async throws -> T {
        let client = HTTPClient(
            configuration: .init(try TLSConfiguration(access), settings, silence: settings.writeTime))
        let result: Result<T, any Error>
        do {
            result = .success(
                try await work(APIWriter(access: access, userAgent: userAgent, client: client, settings: settings)))
        } catch { result = .failure(error) }
        try await client.shutdown()
        return try result.get()
    }

    /// Makes an Event.
    package func create(_ event: ClusterEvent) async throws(APIWriteError) {
        try await send(
            .POST, "/api/v1/namespaces/\(event.namespace)/events", event.body, type: "application/json")
    }

    /// Notes that an Event happened again.
    package func update(_ event: ClusterEvent) async throws(APIWriteError) {
        try await send(
            .PATCH, "/api/v1/namespaces/\(event.namespace)/events/\(event.name)", event.patch, type: Self.mergePatch)
    }

    /// Sets a condition of a Node.
    package func set(_ condition: NodeCondition, ofNode node: String) async throws(APIWriteError) {
        try await send(.PATCH, "/api/v1/nodes/\(node)/status", condition.patch, type: Self.mergePatch)
    }

    private func send(
        _ method: HTTPMethod, _ path: String, _ body: some Encodable, type: String
    ) async throws(APIWriteError) {
        let refusal: APIRefusal
        do {
            var message = HTTPClientRequest(url: access.server + path)
            message.method = method
            message.headers = [
                "Accept": "application/json", "Content-Type": type, "User-Agent": userAgent,
            ]
            if let token = try access.token?.read() {
                message.headers.add(name: "Authorization", value: "Bearer \(token)")
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            message.body = .bytes(Array(try encoder.encode(body)))
            let response = try await client.execute(message, timeout: TimeAmount(settings.writeTime))
            let answer = try await response.body.collect(upTo: Self.longestAnswer)
            if (200..<300).contains(response.status.code) { return }
            refusal = APIRefusal(
                code: Int(response.status.code), body: Array(answer.readableBytesView),
                retryAfter: response.headers.retryAfter)
        } catch {
            throw APIWriteError(code: nil, description: TransportProblem.text(error))
        }
        throw APIWriteError(
            code: refusal.code, description: "the API server answered \(refusal.code): \(refusal.message)",
            retryAfter: refusal.retryAfter)
    }
}

/// Why something was not written.
package struct APIWriteError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The HTTP status; nil when there was no answer.
    package let code: Int?
    package let description: String
    /// The seconds after which the server asks to be asked again.
    package let retryAfter: Int?

    package init(code: Int?, description: String, retryAfter: Int? = nil) {
        self.code = code
        self.description = description
        self.retryAfter = retryAfter
    }
}
