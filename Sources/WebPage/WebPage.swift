internal import FoundationEssentials
internal import Synchronization

public import AgentAPI
public import Flows
public import HTTPEndpoint

/// The page that shows this node's flows and policies, for a browser on the same host.
///
/// It only reads: what it answers is what the CLI is told, from the same places.
public struct WebPage: Sendable {
    /// How much browsers may ask of the agent.
    public struct Limits: Sendable {
        /// Flows in one answer.
        public var flows = 500
        /// How many requests for flows are served at once, those that wait for new ones included.
        public var viewers = 16
        /// How many requests for the status and the policies are served at once: the agent puts them together where it
        /// programs the data path, too.
        public var readers = 4
        /// How long a request may wait for new flows.
        public var wait: Duration = .seconds(10)

        public init() {}
    }

    let hub: FlowHub
    let started: UInt64
    let limits: Limits
    let now: @Sendable () -> UInt64
    private let viewers = Requests()
    private let readers = Requests()
    private let status: @Sendable () async throws -> AgentStatus
    private let policies: @Sendable () async throws -> PolicyDetails

    /// A page that is not served yet.
    ///
    /// - Parameters:
    ///   - started: when the agent started, so that a page left open over a restart knows that flows begin anew.
    ///   - now: nanoseconds since 1970.
    ///   - status: how the agent is doing.
    ///   - policies: all policies of the node.
    public init(
        hub: FlowHub, started: UInt64, limits: Limits = Limits(), now: @escaping @Sendable () -> UInt64,
        status: @escaping @Sendable () async throws -> AgentStatus,
        policies: @escaping @Sendable () async throws -> PolicyDetails
    ) {
        self.hub = hub
        self.started = started
        self.limits = limits
        self.now = now
        self.status = status
        self.policies = policies
    }

    /// Answers a request.
    public func answer(_ question: HTTPQuestion) async -> HTTPAnswer {
        guard WebHost.isLocal(question.host) else {
            return Self.guarded(Self.failure(421, "this page is served as localhost only: ask by that name"))
        }
        return Self.guarded(await content(question))
    }

    private func content(_ question: HTTPQuestion) async -> HTTPAnswer {
        switch question.path {
        case "/api/flows": return await flows(question.query)
        case "/api/status": return await admitted(to: readers, limits.readers) { await Self.told(status) }
        case "/api/policies": return await admitted(to: readers, limits.readers) { await Self.told(policies) }
        default: return PageFile(path: question.path)?.answer ?? .notFound
        }
    }

    private func flows(_ query: String) async -> HTTPAnswer {
        let asked: FlowRequest
        do throws(WebQueryError) { asked = try FlowRequest(query) } catch {
            return Self.failure(400, error.description)
        }
        return await admitted(to: viewers, limits.viewers) { await Self.told { await page(asked) } }
    }

    /// Answers, unless so many requests of the kind are open already.
    private func admitted(
        to open: Requests, _ most: Int, _ answer: () async -> HTTPAnswer
    ) async -> HTTPAnswer {
        defer { open.count.subtract(1, ordering: .relaxed) }
        guard open.count.add(1, ordering: .relaxed).newValue <= most else {
            return Self.failure(503, "\(most) requests of this kind are open already: close other pages")
        }
        return await answer()
    }

    private static func told(_ value: () async throws -> some Encodable) async -> HTTPAnswer {
        do {
            return json(200, try await value())
        } catch {
            return failure(500, "\(error)")
        }
    }

    private static func failure(_ status: Int, _ message: String) -> HTTPAnswer {
        json(status, ["error": message])
    }

    private static func json(_ status: Int, _ value: some Encodable) -> HTTPAnswer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return HTTPAnswer(500, "The answer is no JSON.\n") }
        return HTTPAnswer(status, contentType: "application/json", String(decoding: data, as: UTF8.self))
    }

    /// Nothing from elsewhere is loaded, no other site may show or read the page, and nothing is kept.
    private static func guarded(_ answer: HTTPAnswer) -> HTTPAnswer {
        var answer = answer
        answer.headers["Content-Security-Policy"] =
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-store"
        return answer
    }
}

/// How many requests of a kind are open.
private final class Requests: Sendable {
    let count = Atomic<Int>(0)
}
