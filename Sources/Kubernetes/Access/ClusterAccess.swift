/// How to reach an API server and to be let in.
package struct ClusterAccess: Sendable, Hashable {
    /// Whom to believe that the server is the right one.
    package enum Authority: Sendable, Hashable {
        /// The machine's own certificate authorities.
        case system
        /// These, as PEM.
        case certificates([UInt8])
        /// Anybody: the connection may be to somebody else.
        case anybody
    }

    /// A certificate to show, and its key, as PEM.
    package struct ClientCertificate: Sendable, Hashable {
        package var certificates: [UInt8]
        package var key: [UInt8]

        package init(certificates: [UInt8], key: [UInt8]) {
            self.certificates = certificates
            self.key = key
        }
    }

    /// A bearer token, or the file it is in, which is read for each request because tokens are replaced.
    package enum Token: Sendable, Hashable {
        case text(String)
        case file(String)
    }

    /// `https://HOST[:PORT][/PATH]`, without a slash at the end.
    package var server: String
    package var authority: Authority
    package var token: Token?
    package var certificate: ClientCertificate?

    /// Access to a server; without a token and a certificate, as nobody in particular.
    package init(
        server: String, authority: Authority, token: Token? = nil, certificate: ClientCertificate? = nil
    ) {
        self.server = server
        self.authority = authority
        self.token = token
        self.certificate = certificate
    }
}

/// Why an API server can't be reached with what is configured.
package struct AccessError: Error, Hashable, CustomStringConvertible {
    /// What is wrong and what to do, one sentence.
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

extension ClusterAccess.Token {
    /// The token as it is now.
    package func read() throws(AccessError) -> String {
        switch self {
        case .text(let text): return text
        case .file(let path):
            let bytes = try AccessFile.read(path, as: "the token")
            let text = String(decoding: bytes, as: UTF8.self)
            guard let token = text.split(whereSeparator: \.isWhitespace).first else {
                throw AccessError("the token's file \(path) is empty")
            }
            return String(token)
        }
    }
}
