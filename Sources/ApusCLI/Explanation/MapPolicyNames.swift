internal import Addressing
internal import AgentAPI

/// What names mean by the maps alone: pods of this node and Services.
struct MapPolicyNames: PolicyNames {
    private let endpoints: [EndpointRow]
    private let frontends: [PolicyFrontend]
    private let domain: MapDomain?

    /// - Parameter domain: the name that is asked about.
    init(_ datapath: any DatapathView, _ domain: MapDomain?) throws {
        self.domain = domain
        endpoints = try datapath.endpoints()
        frontends = try datapath.services().compactMap { PolicyFrontend($0) }
    }

    let reach = "in the maps, which are all there is without apusd: they name pods of this node and Services"

    func addresses(ofPod namespace: String, _ name: String) -> [IPAddress]? {
        let pod = endpoints.first { $0.namespace == namespace && $0.pod == name }
        return pod?.addresses.compactMap { IPAddress($0) }
    }

    func end(at address: IPAddress) -> PolicyPath.End {
        let pod = endpoints.first { $0.addresses.contains("\(address)") }
        let name = pod.flatMap { pod in pod.namespace.flatMap { namespace in pod.pod.map { "\(namespace)/\($0)" } } }
        return PolicyPath.End(address: "\(address)", pod: name)
    }

    func frontends(at address: IPAddress) -> [PolicyFrontend] { frontends.filter { $0.address.address == address } }

    func frontends(of namespace: String, _ name: String) -> [PolicyFrontend] {
        frontends.filter { $0.namespace == namespace && $0.service == name }
    }

    func addresses(heldAs name: String, at source: IPAddress) -> [IPAddress]? {
        guard end(at: source).pod != nil else { return nil }
        return domain?.addresses(for: source) ?? []
    }

    func ports(named name: String, _ ipProtocol: IPProtocol, at address: IPAddress) -> [Port]? { nil }
}

extension PolicyFrontend {
    fileprivate init?(_ row: ServiceRow) {
        guard let namespace = row.namespace, let service = row.service, let address = IPAddress(row.address),
            let ipProtocol = IPProtocol(row.ipProtocol)
        else { return nil }
        self.init(
            namespace: namespace, service: service, portName: row.portName ?? "",
            address: SocketAddress(address, row.port), ipProtocol: ipProtocol,
            backends: row.backends.compactMap { backend in
                IPAddress(backend.address).map { SocketAddress($0, backend.port) }
            }, isOfNode: row.kind == .nodePort)
    }
}
