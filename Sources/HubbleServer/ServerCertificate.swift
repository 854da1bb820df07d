internal import GRPCNIOTransportHTTP2Posix
internal import NIOCertificateReloading
internal import NIOSSL
internal import Synchronization

/// The server's certificate and key, read again from their files while it serves: who issues certificates replaces the
/// files, and nobody restarts an agent for that. Connections that are open go on with what they began with.
struct ServerCertificate: Sendable {
    private let reloader: TimedCertificateReloader

    /// Reads both files.
    ///
    /// - Parameters:
    ///   - counters: count the readings that failed; what was read before stays in use.
    ///   - complain: is told why, once for each reason until a reading succeeds.
    init(
        _ files: HubbleServer.Security, counters: HubbleCounters, complain: @escaping @Sendable (String) -> Void
    ) throws(HubbleServerError) {
        @Sendable func unusable(_ error: any Error) -> String {
            "--hubble-tls-cert: \(files.certificate) can't be used with \(files.key): \(error)"
        }
        let complaint = LastComplaint()
        let configuration = TimedCertificateReloader.Configuration(
            refreshInterval: files.refreshInterval,
            certificateSource: .init(location: .file(path: files.certificate), format: .pem),
            privateKeySource: .init(location: .file(path: files.key), format: .pem)
        ) { configuration in
            configuration.onCertificateLoaded = { _ in complaint.isNew(nil) }
            configuration.onCertificateLoadFailed = { failure in
                counters.failedToReadCertificate()
                let text = "\(unusable(failure.error)); the one before stays in use"
                if complaint.isNew(text) { complain(text) }
            }
        }
        do {
            reloader = try TimedCertificateReloader.makeReloaderValidatingSources(configuration: configuration)
        } catch { throw HubbleServerError(description: unusable(error)) }
    }

    /// How the transport uses it.
    /// - Parameter authority: who signs certificates of clients; nil: clients need none.
    func security(
        clientAuthority authority: [NIOSSLCertificate]?
    ) throws(HubbleServerError) -> HTTP2ServerTransport.Posix.TransportSecurity {
        do {
            guard let authority else { return try .tls(certificateReloader: reloader) }
            let roots = try authority.map { TLSConfig.CertificateSource.bytes(try $0.toDERBytes(), format: .der) }
            return try .mTLS(certificateReloader: reloader) { $0.trustRoots = .certificates(roots) }
        } catch { throw HubbleServerError(description: "--hubble-tls-cert: \(error)") }
    }

    /// Reads the files again and again until the task is cancelled.
    func run() async throws { try await reloader.run() }
}

/// What was complained about last; nil: nothing is wrong.
final class LastComplaint: Sendable {
    private let text = Mutex<String?>(nil)

    /// Takes the complaint of now, and says whether it is another one.
    @discardableResult
    func isNew(_ now: String?) -> Bool {
        text.withLock { last in
            defer { last = now }
            return last != now
        }
    }
}
