internal import AsyncHTTPClient
internal import Kubernetes
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL

/// Requests to one API server.
struct APIClient: Sendable {
    /// How long a server may be late with the end of a watch that it was asked to end.
    private static let margin: Duration = .seconds(30)

    private let access: ClusterAccess
    private let settings: APISettings
    private let userAgent: String
    /// Two, because a list may be silent for less time than a watch.
    private let lists: HTTPClient
    private let watches: HTTPClient

    /// What `work` does with a client; its connections are closed afterwards.
    static func with<T: Sendable>(
        _ access: ClusterAccess, settings: APISettings, userAgent: String,
        _ work: @Sendable (APIClient) async throws -> T
    ) async throws -> T {
        let tls = try TLSConfiguration(access)
        let client = APIClient(
            access: access, settings: settings, userAgent: userAgent,
            lists: HTTPClient(configuration: .init(tls, settings, silence: settings.listSilence)),
            watches: HTTPClient(configuration: .init(tls, settings, silence: settings.watchSilence)))
        let result: Result<T, any Error>
        do { result = .success(try await work(client)) } catch { result = .failure(error) }
        try await client.lists.shutdown()
        try await client.watches.shutdown()
        return try result.get()
    }

    /// Sends a request, and returns its answer when that begins.
    func send(_ request: ListWatchRequest, of kind: ObjectKind) async throws -> HTTPClientResponse {
        let seconds = Int.random(in: settings.watchTime)
        var message = HTTPClientRequest(url: "\(access.server)\(kind.path)?\(query(request, watchSeconds: seconds))")
        message.headers = try headers()
        switch request {
        case .page: return try await lists.execute(message, deadline: .distantFuture)
        case .initialEvents: return try await lists.execute(message, deadline: Self.deadline(seconds))
        case .watch: return try await watches.execute(message, deadline: Self.deadline(seconds))
        }
    }

    private func headers() throws(AccessError) -> HTTPHeaders {
        var headers = HTTPHeaders([("Accept", "application/json"), ("User-Agent", userAgent)])
        if let token = try access.token?.read() { headers.add(name: "Authorization", value: "Bearer \(token)") }
        return headers
    }

    private func query(_ request: ListWatchRequest, watchSeconds: Int) -> String {
        let watch = "watch=true&allowWatchBookmarks=true&timeoutSeconds=\(watchSeconds)"
        switch request {
        case .page(nil, isCut: false): return "limit=0"
        case .page(nil, isCut: true): return "limit=\(settings.pageSize)"
        case .page(let token?, _): return "limit=\(settings.pageSize)&continue=\(Self.escape(token))"
        case .initialEvents: return "\(watch)&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        case .watch(let version): return "\(watch)&resourceVersion=\(Self.escape(version))"
        }
    }

    private static func deadline(_ seconds: Int) -> NIODeadline {
        .now() + .seconds(Int64(seconds)) + TimeAmount(margin)
    }

    /// Text as a value in a query (RFC 3986 §2.3).
    private static func escape(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            let character = Unicode.Scalar(byte)
            let isPlain = character.isASCII && (character.properties.isAlphabetic || ("0"..."9").contains(character))
            if isPlain || "-._~".unicodeScalars.contains(character) {
                result.unicodeScalars.append(character)
            } else {
                result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
    }
}

extension HTTPClient.Configuration {
    init(_ tls: TLSConfiguration, _ settings: APISettings, silence: Duration) {
        self.init(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: Timeout(connect: TimeAmount(settings.connectTimeout), read: TimeAmount(silence)))
        // A connection for each watch: one that is given up is closed, and none waits behind another that is dead.
        httpVersion = .http1Only
        // By default a ninth watch would wait for one of eight others to end.
        connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = ObjectKind.allCases.count
        // Who asks decides when to ask again.
        connectionPool.retryConnectionEstablishment = false
    }
}

extension TLSConfiguration {
    init(_ access: ClusterAccess) throws {
        self = .makeClientConfiguration()
        switch access.authority {
        case .system: break
        case .anybody: certificateVerification = .none
        case .certificates(let pem): trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(pem))
        }
        guard let certificate = access.certificate else { return }
        certificateChain = try NIOSSLCertificate.fromPEMBytes(certificate.certificates).map { .certificate($0) }
        privateKey = .privateKey(try NIOSSLPrivateKey(bytes: certificate.key, format: .pem))
    }
}
