/// A backend and what leads to it.
package struct BackendRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case address, port, pod, services
        case ipProtocol = "protocol"
    }

    package var address: String
    package var port: UInt16
    package var ipProtocol: String
    /// The pod with this address, `namespace/name`, when it is one of this node.
    package var pod: String?
    /// `namespace/name:port name`, sorted.
    package var services: [String]

    /// The backends of frontends, each once, in the order of the frontends.
    static func rows(of services: [ServiceRow]) -> [BackendRow] {
        var rows: [BackendRow] = []
        var places: [String: Int] = [:]
        for service in services {
            for backend in service.backends {
                let key = "\(service.ipProtocol) \(EndText.text(backend.address, backend.port))"
                let place = places[key] ?? rows.count
                if place == rows.count {
                    places[key] = place
                    rows.append(
                        BackendRow(
                            address: backend.address, port: backend.port, ipProtocol: service.ipProtocol,
                            pod: backend.pod, services: []))
                }
                if !rows[place].services.contains(service.name) { rows[place].services.append(service.name) }
            }
        }
        return rows
    }

    package static let absence = "no backends: no Service leads anywhere"

    package static let columns: [Column<BackendRow>] = [
        Column("BACKEND") { "\(EndText.text($0.address, $0.port))/\($0.ipProtocol)" },
        Column("POD") { $0.pod ?? "" },
        Column("SERVICES") { Quantity.few($0.services, 3) },
    ]
}
