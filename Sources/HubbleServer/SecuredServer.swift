internal import Addressing
internal import GRPCNIOTransportHTTP2Posix
internal import HTTPEndpoint

/// The server of a TCP address, secured by files that are read again while it serves.
struct SecuredServer {
    let server: PlaceServer
    let port: Int
    /// What reads the files again and again.
    let readings: [@Sendable () async throws -> Void]

    /// Reads the files, and then listens.
    init(
        at address: ListenAddress, _ files: HubbleServer.Security?, _ services: ServedServices,
        complain: @escaping @Sendable (String) -> Void
    ) throws(HubbleServerError) {
        if let files { try HubbleServer.check(files) }
        let certificate = try files.map { files throws(HubbleServerError) in
            try ServerCertificate(files, counters: services.counters, complain: complain)
        }
        let authority = try files.flatMap { files throws(HubbleServerError) in
            try ClientAuthority(files, counters: services.counters, complain: complain)
        }
        let security = try certificate?.security(clientAuthority: authority?.certificates) ?? .plaintext
        let socket = try ListeningSocket(.address(address))
        port = socket.port
        let description = Self.description(address, port: port, services, usesTLS: certificate != nil)
        let server = PlaceServer(
            description.place, services.server(try socket.duplicate(), security, description), on: socket)
        self.server = server
        var readings: [@Sendable () async throws -> Void] = []
        if let certificate {
            readings.append(certificate.run)
            if let authority {
                readings.append {
                    try await authority.run { certificates in
                        let security = try certificate.security(clientAuthority: certificates)
                        try await server.replace { services.server($0, security, description) }
                    }
                }
            }
        }
        self.readings = readings
    }

    private static func description(
        _ address: ListenAddress, port: Int, _ services: ServedServices, usesTLS: Bool
    ) -> HubbleNodeDescription {
        let host = address.host.map { $0.contains(":") ? "[\($0)]" : $0 } ?? ""
        var description = services.description("\(host):\(port)")
        description.isEverywhere = address.isEverywhere
        description.port = Port(port)
        description.usesTLS = usesTLS
        return description
    }
}
