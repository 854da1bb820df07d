internal import NIOSSL

extension HubbleServer {
    /// Fails where files can't be read, are not what they should be, or don't belong together: the transport looks at
    /// them only when it begins to serve.
    static func check(_ files: Security) throws(HubbleServerError) {
        let chain = try certificates(files.certificate, "hubble-tls-cert")
        let key: NIOSSLPrivateKey
        do { key = try NIOSSLPrivateKey(file: files.key, format: .pem) } catch {
            throw HubbleServerError(description: "--hubble-tls-key: \(files.key) is no private key in PEM: \(error)")
        }
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        do { _ = try NIOSSLContext(configuration: configuration) } catch {
            throw HubbleServerError(
                description: "--hubble-tls-key: \(files.key) is not the key of \(files.certificate): \(error)")
        }
    }

    /// What a file holds, which a flag names.
    static func certificates(_ path: String, _ flag: String) throws(HubbleServerError) -> [NIOSSLCertificate] {
        do {
            let found = try NIOSSLCertificate.fromPEMFile(path)
            if !found.isEmpty { return found }
        } catch {
            throw HubbleServerError(description: "--\(flag): \(path) is no certificate in PEM: \(error)")
        }
        throw HubbleServerError(description: "--\(flag): \(path) has no certificate")
    }
}
