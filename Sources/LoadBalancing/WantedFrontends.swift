internal import Addressing

/// The frontends that a Service wants on a node, and what is wrong with its ports.
struct WantedFrontends {
    /// What a frontend is for.
    struct Purpose: Sendable, Equatable {
        let kind: FrontendKind
        let portName: String
    }

    private(set) var purposes: [Frontend: Purpose] = [:]
    /// The addresses that are the Service's on every node, and what makes them so.
    private(set) var virtualAddresses: [IPAddress: FrontendKind] = [:]
    private(set) var problems: [ServiceProblem] = []

    /// As kube-proxy has it, a Service is served in the families of its ClusterIPs only.
    ///
    /// - Parameter nodeAddresses: those that node ports are on.
    init(of service: ServiceDefinition, nodeAddresses: Set<IPAddress>) {
        guard service.kind != .externalName, service.proxyName == nil else { return }
        let own = Set(service.clusterIPs.filter { !$0.isUnspecified })
        let families = Set(own.map(\.isIPv4))
        func served(_ addresses: some Sequence<IPAddress>) -> Set<IPAddress> {
            Set(addresses.filter { families.contains($0.isIPv4) && !$0.isUnspecified })
        }
        add(.clusterIP, own, of: service, \.port)
        add(.loadBalancer, served(service.loadBalancerIPs), of: service, \.port)
        add(.externalIP, served(service.externalIPs), of: service, \.port)
        add(.nodePort, served(nodeAddresses), of: service) { $0.nodePort ?? 0 }
    }

    private mutating func add(
        _ kind: FrontendKind, _ addresses: Set<IPAddress>, of service: ServiceDefinition,
        _ number: (ServiceDefinition.Port) -> Port
    ) {
        for address in addresses {
            for port in service.ports where number(port) != 0 && port.ipProtocol.hasPorts {
                if kind != .nodePort, virtualAddresses[address] == nil { virtualAddresses[address] = kind }
                let frontend = Frontend(address: address, port: number(port), ipProtocol: port.ipProtocol)
                guard let first = purposes[frontend] else {
                    purposes[frontend] = Purpose(kind: kind, portName: port.name)
                    continue
                }
                if first.kind != kind { continue }
                let reason = "port \"\(port.name)\" repeats \(frontend) of port \"\(first.portName)\""
                problems.append(ServiceProblem(object: "Service \(service.name)", reason: reason))
            }
        }
    }
}
