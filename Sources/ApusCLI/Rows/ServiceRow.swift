package import AgentAPI

/// One frontend of a Service and where it leads.
package struct ServiceRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case namespace, service, address, port, kind, backends
        case portName = "port_name"
        case affinitySeconds = "affinity_seconds"
        case ipProtocol = "protocol"
    }

    /// A place that connections go to.
    package struct Backend: Codable, Equatable, Sendable {
        package var address: String
        package var port: UInt16
        /// The pod with this address, `namespace/name`, when it is one of this node.
        package var pod: String?

        package init(address: String, port: UInt16, pod: String? = nil) {
            self.address = address
            self.port = port
            self.pod = pod
        }
    }

    /// The Service's names; nil when they are not in the maps.
    package var namespace: String?
    package var service: String?
    package var portName: String?
    package var address: String
    package var port: UInt16
    package var ipProtocol: String
    /// Why the Service has the frontend; nil when the maps hold no known kind.
    package var kind: ServiceTrace.Kind?
    /// Empty: connections are refused.
    package var backends: [Backend]
    /// For how many seconds after its last new connection a client keeps its backend; nil: it keeps none.
    package var affinitySeconds: UInt32?

    package init(
        namespace: String?, service: String?, portName: String?, address: String, port: UInt16, ipProtocol: String,
        kind: ServiceTrace.Kind? = .clusterIP, backends: [Backend], affinitySeconds: UInt32? = nil
    ) {
        self.namespace = namespace
        self.service = service
        self.portName = portName
        self.address = address
        self.port = port
        self.ipProtocol = ipProtocol
        self.kind = kind
        self.backends = backends
        self.affinitySeconds = affinitySeconds
    }

    /// `namespace/name:port name`, as far as it is known.
    var name: String {
        "\(namespace ?? "-")/\(service ?? "-")" + (portName.map { ":\($0)" } ?? "")
    }

    /// The frontend with all its backends, for people.
    var details: String {
        let affinity = affinitySeconds.map { "clients keep their backend for \($0) s" }
        let head = [name, "\(EndText.text(address, port))/\(ipProtocol)", kind?.text, affinity].compactMap { $0 }
        let lines = backends.map { backend in
            "  \(EndText.text(backend.address, backend.port))" + (backend.pod.map { "  \($0)" } ?? "")
        }
        return ([head.joined(separator: "  ")] + (lines.isEmpty ? ["  none: refuses"] : lines))
            .map { $0 + "\n" }.joined()
    }

    package static let absence = "no services: the data path knows no frontend"

    package static let columns: [Column<ServiceRow>] = [
        Column("NAMESPACE") { $0.namespace ?? "" },
        Column("SERVICE") { ($0.service ?? "-") + ($0.portName.map { ":\($0)" } ?? "") },
        Column("FRONTEND") { "\(EndText.text($0.address, $0.port))/\($0.ipProtocol)" },
        Column("TYPE") { $0.kind?.text ?? "-" },
        Column("AFFINITY") { $0.affinitySeconds.map { "\($0) s" } ?? "" },
        Column("BACKENDS") { row in
            let backends = row.backends.map { EndText.text($0.address, $0.port) }
            return backends.isEmpty ? "none: refuses" : Quantity.few(backends, 2)
        },
    ]
}

/// An address with its port, as people write it.
enum EndText {
    static func text(_ address: String, _ port: UInt16) -> String {
        if port == 0 { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
