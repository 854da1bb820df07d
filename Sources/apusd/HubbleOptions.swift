import Agent
import ArgumentParser
import HTTPEndpoint
import HubbleServer

/// The Unix socket of Hubble's clients. A group, as cleaning up needs it too.
struct HubbleSocketOptions: ParsableArguments {
    @Option(
        help: .flag(
            "hubble-socket", "The Unix socket for Hubble's clients; empty for none.",
            default: "hubble.sock beside --socket"))
    var hubbleSocket: String?

    /// nil: none.
    ///
    /// - Parameter socket: that of the CLI.
    func path(beside socket: String) -> String? {
        if let path = hubbleSocket ?? Environment.anyText("hubble-socket") { return path.isEmpty ? nil : path }
        guard let slash = socket.lastIndex(of: "/") else { return "hubble.sock" }
        return String(socket[...slash]) + "hubble.sock"
    }
}

/// Where the agent answers Hubble's clients by TCP.
struct HubbleOptions: ParsableArguments {
    @Option(
        help: .flag(
            "hubble-address", "Where Hubble's clients and relay are served, as [HOST]:PORT, usually :4244.",
            default: "nowhere"))
    var hubbleAddress: String?
    @Option(help: .flag("hubble-tls-cert", "The certificate of --hubble-address, in PEM.", default: "no TLS"))
    var hubbleTlsCert: String?
    @Option(help: .flag("hubble-tls-key", "The key of that certificate, in PEM."))
    var hubbleTlsKey: String?
    @Option(
        help: .flag(
            "hubble-tls-client-ca", "Who signs the certificates of clients, in PEM.",
            default: "clients need no certificate"))
    var hubbleTlsClientCa: String?

    func configuration(socket: String?) throws -> HubbleServer.Configuration {
        var configuration = HubbleServer.Configuration(socket: socket)
        let address = hubbleAddress ?? Environment.text("hubble-address") ?? ""
        if !address.isEmpty {
            guard let place = ListenAddress(address) else {
                throw ValidationError(
                    "--hubble-address: '\(address)' is not an address to listen on, such as :4244 or 127.0.0.1:4244")
            }
            configuration.address = place
        }
        configuration.tls = try security()
        if configuration.tls != nil, configuration.address == nil {
            throw ValidationError("--hubble-tls-cert secures --hubble-address: give that, too")
        }
        return configuration
    }

    private func security() throws -> HubbleServer.Security? {
        let certificate = hubbleTlsCert ?? Environment.text("hubble-tls-cert")
        let key = hubbleTlsKey ?? Environment.text("hubble-tls-key")
        let authority = hubbleTlsClientCa ?? Environment.text("hubble-tls-client-ca")
        switch (certificate, key) {
        case (let certificate?, let key?):
            return HubbleServer.Security(certificate: certificate, key: key, clientAuthority: authority)
        case (nil, nil) where authority == nil: return nil
        default: throw ValidationError("TLS needs both --hubble-tls-cert and --hubble-tls-key")
        }
    }
}
