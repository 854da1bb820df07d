package import AgentAPI

/// One frontend of a Service and where it leads.
package struct ServiceRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case namespace, service, address, port, kind, backends
        case outside = "backends_for_outside"
        case sourceRanges = "source_ranges"
        case portName = "port_name"
        case affinitySeconds = "affinity_seconds"
        case maglevTableSize = "maglev_table_size"
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
    /// Those for clients from outside of the node; nil: the same, or none may come.
    package var outside: [Backend]?
    /// The clients that may connect; empty: all may.
    package var sourceRanges: [String]
    /// For how many seconds after its last new connection a client keeps its backend; nil: it keeps none.
    package var affinitySeconds: UInt32?
    /// The places of the table by which clients from outside are led to backends; nil: chance leads them.
    package var maglevTableSize: Int?

    package init(
        namespace: String?, service: String?, portName: String?, address: String, port: UInt16, ipProtocol: String,
        kind: ServiceTrace.Kind? = .clusterIP, backends: [Backend], outside: [Backend]? = nil,
        sourceRanges: [String] = [], affinitySeconds: UInt32? = nil, maglevTableSize: Int? = nil
    ) {
        self.maglevTableSize = maglevTableSize
        self.outside = outside
        self.sourceRanges = sourceRanges
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
        let ranges = sourceRanges.isEmpty ? nil : "for \(sourceRanges.joined(separator: ", ")) only"
        let head = [name, "\(EndText.text(address, port))/\(ipProtocol)", kind?.text, algorithm, affinity, ranges]
        let inside = [head.compactMap { $0 }.joined(separator: "  ")] + lines(backends, ifNone: "none: refuses")
        let apart = outside.map {
            ["  from outside of the node:"] + lines($0, ifNone: Self.noneOutside).map { "  " + $0 }
        }
        return (inside + (apart ?? [])).map { $0 + "\n" }.joined()
    }

    /// How clients from outside get their backend.
    private var algorithm: String? {
        if let maglevTableSize { return "maglev (\(maglevTableSize) places)" }
        guard let kind, kind != .clusterIP else { return nil }
        return "random"
    }

    private func lines(_ backends: [Backend], ifNone text: String) -> [String] {
        let lines = backends.map { backend in
            "  \(EndText.text(backend.address, backend.port))" + (backend.pod.map { "  \($0)" } ?? "")
        }
        return lines.isEmpty ? ["  \(text)"] : lines
    }

    /// What clients from outside get where the node has no endpoint and others have.
    private static let noneOutside = "none on this node: drops"

    package static let absence = "no services: the data path knows no frontend"

    package static let columns: [Column<ServiceRow>] = [
        Column("NAMESPACE") { $0.namespace ?? "" },
        Column("SERVICE") { ($0.service ?? "-") + ($0.portName.map { ":\($0)" } ?? "") },
        Column("FRONTEND") { "\(EndText.text($0.address, $0.port))/\($0.ipProtocol)" },
        Column("TYPE") { $0.kind?.text ?? "-" },
        Column("AFFINITY") { $0.affinitySeconds.map { "\($0) s" } ?? "" },
        Column("FROM OUTSIDE") { row in
            let who = row.sourceRanges.isEmpty ? "" : " for \(Quantity.few(row.sourceRanges, 1))"
            guard let outside = row.outside else { return who.isEmpty ? "" : "the same\(who)" }
            return (outside.isEmpty ? noneOutside : few(outside)) + who
        },
        Column("BACKENDS") { $0.backends.isEmpty ? "none: refuses" : few($0.backends) },
    ]

    private static func few(_ backends: [Backend]) -> String {
        Quantity.few(backends.map { EndText.text($0.address, $0.port) }, 2)
    }
}

/// An address with its port, as people write it.
enum EndText {
    static func text(_ address: String, _ port: UInt16) -> String {
        if port == 0 { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
