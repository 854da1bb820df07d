internal import AsyncHTTPClient
public import FlowExport
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Delivers records to a collector, a request for those of one delivery.
public final class OTLPSink: FlowSink {
    /// What is sent, and so where to.
    public enum Signal: String, Sendable {
        case logs, metrics
    }

    /// What can fail, as metrics label it: nobody answered; the answer was to come again; it was no.
    public static let operations = ["connect", "answer", "refuse"]

    /// How much of an answer is read.
    private static let longestAnswer = 1 << 16

    private let endpoint: OTLPEndpoint
    private let signal: Signal
    private let limit: Duration
    private let grace: Duration
    private let request: @Sendable ([ExportRecord]) -> [UInt8]
    /// Made with the first delivery: a client must be closed, so one that never had to do anything isn't there.
    private let client = Mutex<HTTPClient?>(nil)

    /// - Parameters:
    ///   - limit: how long a request may take.
    ///   - grace: how long one that is under way still may once its task is cancelled.
    ///   - request: the body of a request that has these records.
    public init(
        _ endpoint: OTLPEndpoint, _ signal: Signal, limit: Duration = .seconds(10), grace: Duration = .seconds(1),
        request: @escaping @Sendable ([ExportRecord]) -> [UInt8]
    ) {
        (self.endpoint, self.signal, self.request) = (endpoint, signal, request)
        (self.limit, self.grace) = (limit, grace)
    }

    public func deliver(_ records: [ExportRecord]) async -> Delivery {
        let body = request(records)
        // A task that is cancelled ends its requests at once; what is left at the end shall have a moment.
        let exchange = Task { try await self.exchange(body) }
        let result = await withTaskCancellationHandler {
            await exchange.result
        } onCancel: {
            Task { [grace] in
                try? await Task.sleep(for: grace)
                exchange.cancel()
            }
        }
        switch result {
        case .success(let answer):
            // What collectors count of metrics are data points.
            let points = records.reduce(0) { $0 + Int(clamping: $1.events) }
            return answer.delivery(of: signal == .metrics ? points : records.count, now: Int64(time(nil)))
        case .failure(let error):
            return Delivery(
                delivered: 0, problem: DeliveryProblem(operation: "connect", text: Self.text(error)))
        }
    }

    /// Closes the connections; nothing can be delivered afterwards.
    public func close() async {
        let client = client.withLock { client in
            defer { client = nil }
            return client
        }
        try? await client?.shutdown()
    }

    private func exchange(_ body: [UInt8]) async throws -> OTLPAnswer {
        var message = HTTPClientRequest(url: "\(endpoint.url)/v1/\(signal.rawValue)")
        message.method = .POST
        message.headers = HTTPHeaders([("Content-Type", "application/json"), ("User-Agent", "apusd")])
        for header in endpoint.headers { message.headers.replaceOrAdd(name: header.name, value: header.value) }
        message.body = .bytes(ByteBuffer(bytes: body))
        let response = try await openClient().execute(message, timeout: TimeAmount(limit))
        // The status says what became of it, however long the rest is, and whether it comes or not.
        var body: [UInt8] = []
        do {
            for try await part in response.body {
                body += part.readableBytesView.prefix(Self.longestAnswer - body.count)
                if body.count == Self.longestAnswer { break }
            }
        } catch {}
        return OTLPAnswer(
            status: response.status.code, retryAfter: response.headers.first(name: "Retry-After"), body: body)
    }

    private func openClient() throws -> HTTPClient {
        try client.withLock { client in
            if let client { return client }
            let tls = try endpoint.security()
            var configuration = HTTPClient.Configuration(
                tlsConfiguration: tls, redirectConfiguration: .disallow,
                timeout: .init(connect: TimeAmount(limit / 2), read: TimeAmount(limit)))
            configuration.httpVersion = .http1Only
            // The exporter decides when to try again.
            configuration.connectionPool.retryConnectionEstablishment = false
            let made = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
            client = made
            return made
        }
    }

    private static func text(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded:
            "the collector does not answer"
        case let error as NIOConnectionError:
            "\(error.host):\(error.port) can't be connected to: "
                + (error.connectionErrors.first.map { "\($0.error)" } ?? "it has no address")
        default: "\(error)"
        }
    }
}
