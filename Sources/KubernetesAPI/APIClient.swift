internal import AsyncHTTPClient
internal import Kubernetes
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL

/// Requests to one API server.
struct APIClient: Sendable {
    private let access: ClusterAccess
    private let settings: APISettings
    private let userAgent: String
    private let client: HTTPClient

    /// What `work` does with a client; its connections are closed afterwards.
    static func with<T: Sendable>(
        _ access: ClusterAccess, settings: APISettings, userAgent: String,
        _ work: @Sendable (APIClient) async throws -> T
    ) async throws -> T {
        let client = HTTPClient(configuration: .init(try TLSConfiguration(access), settings))
        let result: Result<T, any Error>
        do {
            result = .success(
                try await work(APIClient(access: access, settings: settings, userAgent: userAgent, client: client)))
        } catch { result = .failure(error) }
        try await client.shutdown()
        return try result.get()
    }

    /// Sends a request, and returns its answer when that begins. How long to wait is for the caller to say: it is
    /// cancelled by its task.
    /// - Parameter watchTime: after how long the server shall end a watch, in whole seconds.
    func send(
        _ request: ListWatchRequest, of kind: ObjectKind, watchTime: Duration
    ) async throws -> HTTPClientResponse {
        let query = query(request, watchSeconds: watchTime.components.seconds)
        var message = HTTPClientRequest(url: "\(access.server)\(kind.path)?\(query)")
        message.headers = try headers()
        return try await client.execute(message, deadline: .distantFuture)
    }

    private func headers() throws(AccessError) -> HTTPHeaders {
        var headers = HTTPHeaders([("Accept", "application/json"), ("User-Agent", userAgent)])
        if let token = try access.token?.read() { headers.add(name: "Authorization", value: "Bearer \(token)") }
        return headers
    }

    private func query(_ request: ListWatchRequest, watchSeconds: Int64) -> String {
        let watch = "watch=true&allowWatchBookmarks=true&timeoutSeconds=\(watchSeconds)"
        switch request {
        case .page(nil, isCut: false): return "limit=0"
        case .page(nil, isCut: true): return "limit=\(settings.pageSize)"
        case .page(let token?, _): return "limit=\(settings.pageSize)&continue=\(Self.escape(token))"
        case .initialEvents: return "\(watch)&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        case .watch(let version): return "\(watch)&resourceVersion=\(Self.escape(version))"
        }
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
    init(_ tls: TLSConfiguration, _ settings: APISettings, silence: Duration? = nil) {
        self.init(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: Timeout(connect: TimeAmount(settings.connectTimeout), read: silence.map { TimeAmount($0) }))
        // A connection for each watch: one that is given up is closed, and none waits behind another that is dead.
        httpVersion = .http1Only
        http1_1ConnectionDebugInitializer = { [keepalive = settings.keepalive] in keepalive.set(on: $0) }
        // By default a ninth watch would wait for one of eight others to end. Twice as many, as those that are given up
        // take a moment to close.
        connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 2 * ObjectKind.allCases.count
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
        case .certificates(let pem):
            let certificates = try NIOSSLCertificate.fromPEMBytes(pem)
            // With none of them nobody would be believed, and nothing would say why.
            if certificates.isEmpty { throw AccessError("the authority has no certificate") }
            trustRoots = .certificates(certificates)
        }
        guard let certificate = access.certificate else { return }
        certificateChain = try NIOSSLCertificate.fromPEMBytes(certificate.certificates).map { .certificate($0) }
        privateKey = .privateKey(try NIOSSLPrivateKey(bytes: certificate.key, format: .pem))
    }
}
