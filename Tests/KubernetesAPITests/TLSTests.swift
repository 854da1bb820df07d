import APIServerSupport
import Foundation
import Kubernetes
import KubernetesAPI
import NIOSSL
import TestSupport
import Testing

/// The certificates in Fixtures/tls are of an authority that has signed nothing else, and whose key is gone.
@Suite("TLS to an API server", .serialized)
struct TLSTests {
    static func file(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/tls/\(name)").path
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: file(name))))
    }

    /// A server that asks for a certificate of the same authority.
    static func serverContext() throws -> NIOSSLContext {
        let certificates = try NIOSSLCertificate.fromPEMFile(file("server.crt")).map {
            NIOSSLCertificateSource.certificate($0)
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates,
            privateKey: .privateKey(try NIOSSLPrivateKey(file: file("server.key"), format: .pem)))
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file("ca.crt")))
        return try NIOSSLContext(configuration: configuration)
    }

    static func clientCertificate() throws -> ClusterAccess.ClientCertificate {
        .init(certificates: try bytes("client.crt"), key: try bytes("client.key"))
    }

    static func follow(
        _ access: @Sendable (Int) throws -> ClusterAccess, _ body: @Sendable (Listener) async throws -> Void
    )
        async throws
    {
        let cluster = try await FollowingTests.cluster()
        let handler: HTTPServer.Handler = FakeAPIServer(cluster).handle
        try await HTTPServer.run(tls: try serverContext(), handler: handler) { port in
            try await following(try access(port), quickSettings([.namespace]), body)
        }
    }

    @Test("server and client show certificates that the other one believes")
    func mutual() async throws {
        try await Self.follow { port in
            ClusterAccess(
                server: "https://127.0.0.1:\(port)", authority: .certificates(try Self.bytes("ca.crt")),
                certificate: try Self.clientCertificate())
        } _: { listener in
            try await expectSoon("the list", listener) { $0.isSynced && $0.objects.count == 3 }
        }
    }

    @Test("what is no certificate is known before a server is asked")
    func unreadable() throws {
        for authority in [ClusterAccess.Authority.certificates(Array("nothing".utf8)), .certificates([])] {
            let source = APISource(
                ClusterAccess(server: "https://127.0.0.1:1", authority: authority), userAgent: "apusd/test")
            #expect {
                try source.validate()
            } throws: {
                "\($0)".hasPrefix("a certificate or the key for https://127.0.0.1:1 can't be read: ")
            }
        }
        let known = ClusterAccess(
            server: "https://127.0.0.1:1", authority: .certificates(try Self.bytes("ca.crt")),
            certificate: try Self.clientCertificate())
        try APISource(known, userAgent: "apusd/test").validate()
    }

    @Test("a server that the authority does not vouch for is not believed")
    func otherAuthority() async throws {
        try await Self.follow { port in
            ClusterAccess(
                server: "https://127.0.0.1:\(port)", authority: .system, certificate: try Self.clientCertificate())
        } _: { listener in
            try await expectSoon("the refusal", listener) {
                $0.standings[.namespace]?.problem?.contains("CERTIFICATE_VERIFY_FAILED") == true
            }
            #expect(listener.now.objects.isEmpty)
        }
    }

    @Test("any server is believed where that is asked for")
    func anybody() async throws {
        try await Self.follow { port in
            ClusterAccess(
                server: "https://127.0.0.1:\(port)", authority: .anybody, certificate: try Self.clientCertificate())
        } _: { listener in
            try await expectSoon("the list", listener) { $0.isSynced && $0.objects.count == 3 }
        }
    }
}
