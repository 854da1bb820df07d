internal import NIOCore
internal import NIOSSL

/// A collector that takes OTLP over HTTP.
public struct OTLPEndpoint: Sendable, Hashable {
    /// A header of requests, such as one with credentials.
    struct Header: Sendable, Hashable {
        let name: String
        let value: String
    }

    /// The URL that paths as `/v1/logs` are put to.
    let url: String
    let headers: [Header]
    /// The file of certificates, in PEM, of who signs the collector's; nil: those that the system trusts.
    let authority: String?

    /// - Parameters:
    ///   - url: as `http://collector:4318` or `https://collector/otlp`.
    ///   - headers: each as `NAME=VALUE`.
    ///   - authority: the file of certificates, in PEM, of who signs the collector's; nil: those that the system trusts.
    public init(_ url: String, headers: [String] = [], authority: String? = nil) throws(OTLPEndpointError) {
        self.url = try Self.checked(url)
        var found: [Header] = []
        for header in headers { found.append(try Self.header(header)) }
        self.headers = found
        self.authority = authority
        if let authority {
            guard url.hasPrefix("https:") else { throw OTLPEndpointError("'\(url)' has no certificate to check") }
            do { _ = try NIOSSLCertificate.fromPEMFile(authority) } catch {
                throw OTLPEndpointError("the certificates in \(authority) can't be read: \(error)")
            }
        }
    }

    /// Where to send; the text is looked at only as far as a mistake could look like a dead collector later.
    private static func checked(_ url: String) throws(OTLPEndpointError) -> String {
        let rest = ["http://", "https://"].first(where: url.hasPrefix).map { url.dropFirst($0.count) } ?? ""
        let host = rest.prefix { $0 != "/" }
        guard !host.isEmpty, !host.hasPrefix(":"), url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw OTLPEndpointError("'\(url)' is no URL such as http://collector:4318")
        }
        guard !rest.contains(where: { "?#@".contains($0) }) else {
            throw OTLPEndpointError("the URL has more than a place and a path; credentials go into headers")
        }
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    private static func header(_ text: String) throws(OTLPEndpointError) -> Header {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let isName = parts[0].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
        // The value may be a secret: it is not told.
        guard parts.count == 2, !parts[0].isEmpty, isName else {
            throw OTLPEndpointError("a header is NAME=VALUE, and '\(parts[0])' is no name of one")
        }
        guard parts[1].utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
            throw OTLPEndpointError("the value of the header '\(parts[0])' has a control character")
        }
        return Header(name: String(parts[0]), value: String(parts[1]))
    }

    /// How connections are secured.
    func security() throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let authority { tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authority)) }
        return tls
    }
}

/// Why nothing can be sent there.
public struct OTLPEndpointError: Error, CustomStringConvertible {
    /// For people.
    public let description: String

    init(_ description: String) { self.description = description }
}
