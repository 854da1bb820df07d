internal import Addressing
internal import AgentAPI

/// What the ends of `apus service trace` mean, by the pinned maps where they are not written as the agent takes them.
struct ServiceTraceEnds {
    let ipProtocol: IPProtocol
    let openMaps: () throws -> any DatapathView

    /// The pod, `namespace/name`, or an address outside.
    func client(_ end: PolicyEnd) throws -> String {
        guard case .address(let address) = end else { return "\(end)" }
        let pod = try openMaps().endpoints().first { $0.addresses.contains("\(address)") }
        guard let namespace = pod?.namespace, let name = pod?.pod else { return "\(address)" }
        return "\(namespace)/\(name)"
    }

    /// The addresses and ports that are asked for.
    func frontends(_ end: PolicyEnd, _ port: PolicyPort?) throws -> [SocketAddress] {
        if case .address(let address) = end, case .number(let number)? = port {
            return [SocketAddress(address, number)]
        }
        let rows = try openMaps().services().filter { isMeant($0, end) }
        if rows.isEmpty { throw CommandError.noService("\(end)") }
        let asked = rows.filter { row in
            guard row.ipProtocol == "\(ipProtocol)" else { return false }
            switch port {
            case .number(let number)?: return row.port == number
            case .name(let name)?: return row.portName == name
            case nil: return false
            }
        }
        if asked.isEmpty {
            let ports = Set(
                rows.map { row in
                    "\(row.ipProtocol) \(row.port)" + (row.portName.map { " (\($0))" } ?? "")
                })
            let wanted = port.map { " port \($0)" } ?? ""
            throw CommandError(
                "Service \(end) has no \(ipProtocol)\(wanted): it has \(ports.sorted().joined(separator: ", "))")
        }
        return asked.compactMap { row in IPAddress(row.address).map { SocketAddress($0, row.port) } }
    }

    private func isMeant(_ row: ServiceRow, _ end: PolicyEnd) -> Bool {
        switch end {
        case .address(let address): row.address == "\(address)"
        case .named(let namespace, let name): row.namespace == namespace && row.service == name
        case .domain: false
        }
    }
}
