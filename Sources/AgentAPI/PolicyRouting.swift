public import Addressing

/// A Service's address and port, and where it leads to.
public struct PolicyFrontend: Sendable, Hashable {
    public var namespace: String
    public var service: String
    /// Empty for a port without a name.
    public var portName: String
    public var address: SocketAddress
    public var ipProtocol: IPProtocol
    public var backends: [SocketAddress]
    /// Whether the address is a node's, which has other ports besides those of Services.
    public var isOfNode: Bool

    public init(
        namespace: String, service: String, portName: String, address: SocketAddress, ipProtocol: IPProtocol,
        backends: [SocketAddress], isOfNode: Bool = false
    ) {
        self.namespace = namespace
        self.service = service
        self.portName = portName
        self.address = address
        self.ipProtocol = ipProtocol
        self.backends = backends
        self.isOfNode = isOfNode
    }

    /// For people: `shop/web:http 10.96.0.10:80`.
    public var text: String {
        "\(namespace)/\(service)" + (portName.isEmpty ? "" : ":\(portName)") + " \(address)"
    }
}

/// What names and addresses mean to whoever answers a ``PolicyQuestion``: the agent, or the maps alone.
public protocol PolicyNames {
    /// The addresses of a pod; nil when there is none of that name.
    func addresses(ofPod namespace: String, _ name: String) -> [IPAddress]?
    /// The pod that has an address.
    func end(at address: IPAddress) -> PolicyPath.End
    /// The numbers that a pod's port of that name has; nil when names of ports are not known here at all.
    func ports(named name: String, _ ipProtocol: IPProtocol, at address: IPAddress) -> [Port]?
    /// What Services have an address.
    func frontends(at address: IPAddress) -> [PolicyFrontend]
    /// The addresses and ports of a Service.
    func frontends(of namespace: String, _ name: String) -> [PolicyFrontend]
    /// The addresses that the egress policy of the pod at an address holds under a name of the DNS now; nil when no
    /// pod of this node has the address.
    func addresses(heldAs name: String, at source: IPAddress) -> [IPAddress]?
    /// Why a name may be unknown here, as an end of a sentence.
    var reach: String { get }
}

extension PolicyQuestion {
    /// The ways that a packet can take, not judged yet: every pair of addresses of one family, and behind a Service
    /// every backend, as policies judge the backend.
    public func paths(_ names: some PolicyNames) throws(AgentError) -> [PolicyPath] {
        let sources = try addresses(of: source, names)
        if case .domain(let name) = destination { return try paths(to: name, from: sources, names) }
        let targets = try targets(names)
        let paths = sources.flatMap { source in
            targets.filter { fits(source, $0.address) }.map { target in
                PolicyPath(
                    source: names.end(at: source), destination: names.end(at: target.address),
                    ipProtocol: "\(ipProtocol)", port: target.port, service: target.service)
            }
        }
        if paths.isEmpty { throw disjoint }
        return paths
    }

    /// Says that no address of the one end can reach one of the other.
    var disjoint: AgentError {
        AgentError(.notFound, "\(source) and \(destination) have no addresses of one family for \(ipProtocol)")
    }

    func fits(_ source: IPAddress, _ destination: IPAddress) -> Bool {
        switch ipProtocol {
        case .icmp: source.isIPv4 && destination.isIPv4
        case .icmpv6: !source.isIPv4 && !destination.isIPv4
        default: source.isIPv4 == destination.isIPv4
        }
    }

    /// Where the packet goes to.
    struct Target {
        var address: IPAddress
        var port: Port?
        var service: String?
    }

    private func addresses(of end: PolicyEnd, _ names: some PolicyNames) throws(AgentError) -> [IPAddress] {
        switch end {
        case .address(let address): return [address]
        case .named(let namespace, let name):
            if let addresses = names.addresses(ofPod: namespace, name) { return addresses }
            throw AgentError(.notFound, "there is no pod \(end) \(names.reach)")
        case .domain:
            throw AgentError(.notFound, "a connection comes from a pod or an address, not from the name \(end)")
        }
    }

    private func targets(_ names: some PolicyNames) throws(AgentError) -> [Target] {
        switch destination {
        case .address(let address): return try targets(behind: address, names)
        case .domain: return []
        case .named(let namespace, let name):
            let frontends = names.frontends(of: namespace, name)
            if let addresses = names.addresses(ofPod: namespace, name) {
                guard frontends.isEmpty else { throw twofold(addresses, frontends) }
                var targets: [Target] = []
                for address in addresses { targets += try self.targets(at: address, names) }
                return targets
            }
            if !frontends.isEmpty { return try backends(frontends) }
            throw AgentError(.notFound, "there is neither a pod nor a Service \(destination) \(names.reach)")
        }
    }

    /// The address itself, or what a Service with the address leads to.
    func targets(behind address: IPAddress, _ names: some PolicyNames) throws(AgentError) -> [Target] {
        let frontends = names.frontends(at: address)
        let isLeft = frontends.allSatisfy(\.isOfNode) && !frontends.contains(where: isAsked)
        return isLeft ? try targets(at: address, names) : try backends(frontends)
    }

    /// A pod and a Service have the name that was given: one of them must not be taken for the other.
    private func twofold(_ addresses: [IPAddress], _ frontends: [PolicyFrontend]) -> AgentError {
        func list(_ addresses: [IPAddress]) -> String {
            Set(addresses).sorted().map(\.description).joined(separator: ", ")
        }
        let service = list(frontends.map(\.address.address))
        return AgentError(
            .notFound,
            "there are a pod and a Service \(destination): give an address of the pod (\(list(addresses))) or of the "
                + "Service (\(service))")
    }

    private func targets(at address: IPAddress, _ names: some PolicyNames) throws(AgentError) -> [Target] {
        switch port {
        case nil: return [Target(address: address)]
        case .number(let number): return [Target(address: address, port: number)]
        case .name(let name):
            guard let ports = names.ports(named: name, ipProtocol, at: address) else {
                throw AgentError(.notFound, "the number of port \(name) is not known \(names.reach): give the number")
            }
            if ports.isEmpty {
                throw AgentError(.notFound, "\(names.end(at: address).text) has no \(ipProtocol) port named \(name)")
            }
            return ports.map { Target(address: address, port: $0) }
        }
    }

    /// The backends of those frontends that are asked for.
    private func backends(_ frontends: [PolicyFrontend]) throws(AgentError) -> [Target] {
        let asked = frontends.filter(isAsked)
        guard !asked.isEmpty else {
            let ports = Set(frontends.map { "\($0.ipProtocol) \($0.address.port)" }).sorted().joined(separator: ", ")
            let wanted = "\(ipProtocol)" + (port.map { " port \($0)" } ?? "")
            throw AgentError(.notFound, "Service \(Self.name(frontends)) has no \(wanted): it has \(ports)")
        }
        let targets = asked.flatMap { frontend in
            frontend.backends.map { Target(address: $0.address, port: $0.port, service: frontend.text) }
        }
        if targets.isEmpty {
            throw AgentError(.notFound, "Service \(Self.name(asked)) has no backends: it refuses every connection")
        }
        return targets
    }

    private func isAsked(_ frontend: PolicyFrontend) -> Bool {
        guard frontend.ipProtocol == ipProtocol else { return false }
        return switch port {
        case nil: false
        case .number(let number): frontend.address.port == number
        case .name(let name): frontend.portName == name
        }
    }

    private static func name(_ frontends: [PolicyFrontend]) -> String {
        frontends.first.map { "\($0.namespace)/\($0.service)" } ?? ""
    }
}
