internal import NIOSSL

/// Who signs certificates of clients, read again from its file while the server serves, as the server's own
/// certificate is: an authority is replaced, too.
struct ClientAuthority: Sendable {
    private let path: String
    private let interval: Duration
    private let counters: HubbleCounters
    private let complain: @Sendable (String) -> Void
    /// As of the start.
    let certificates: [NIOSSLCertificate]

    /// Reads the file; nil where clients need no certificates.
    ///
    /// - Parameters:
    ///   - counters: count the readings that failed; what was read before stays in use.
    ///   - complain: is told why, once for each reason until a reading succeeds.
    init?(
        _ files: HubbleServer.Security, counters: HubbleCounters, complain: @escaping @Sendable (String) -> Void
    ) throws(HubbleServerError) {
        guard let path = files.clientAuthority else { return nil }
        self.path = path
        interval = files.refreshInterval
        self.counters = counters
        self.complain = complain
        certificates = try HubbleServer.certificates(path, "hubble-tls-client-ca")
    }

    /// Reads the file again and again until the task is cancelled.
    ///
    /// - Parameter use: is given what differs from what is in use; when it fails, that stays so.
    func run(_ use: ([NIOSSLCertificate]) async throws -> Void) async throws {
        var inUse = certificates
        let complaint = LastComplaint()
        while true {
            try await Task.sleep(for: interval)
            do {
                let found = try HubbleServer.certificates(path, "hubble-tls-client-ca")
                if found != inUse { try await use(found) }
                inUse = found
                complaint.isNew(nil)
            } catch {
                try Task.checkCancellation()
                counters.failedToReadCertificate()
                let text = "\(error); the one before stays in use"
                if complaint.isNew(text) { complain(text) }
            }
        }
    }
}
