internal import Addressing

extension PolicyQuestion {
    /// Addresses that are nobody's, for what an answer would bring: the dummy addresses of RFC 7600 and RFC 9780.
    private static let unlearned = [
        IPAddress(v4: 0xc000_0008), IPAddress(high: 0x0100_0000_0000_0001, low: 0),
    ]

    /// The ways to a name: to each address that is held under it for the source's policy. Where none is, to one of each
    /// family that stands for what an answer would bring.
    func paths(
        to name: String, from sources: [IPAddress], _ names: some PolicyNames
    ) throws(AgentError) -> [PolicyPath] {
        var paths: [PolicyPath] = []
        for source in sources {
            guard let held = names.addresses(heldAs: name, at: source) else {
                throw AgentError(
                    .notFound,
                    "\(names.end(at: source).text) is no pod of this node: names count where the pod that asks is")
            }
            if held.isEmpty, case .name(let port) = port {
                throw AgentError(.notFound, "nobody is known to have \(name)'s port \(port): give the number")
            }
            let addresses = held.isEmpty ? Self.unlearned : held
            for address in addresses where fits(source, address) {
                for target in try targets(behind: address, names) {
                    var path = PolicyPath(
                        source: names.end(at: source), destination: names.end(at: target.address),
                        ipProtocol: "\(ipProtocol)", port: target.port, service: target.service)
                    path.name = PolicyPath.Name(name: name, learned: !held.isEmpty)
                    paths.append(path)
                }
            }
        }
        if paths.isEmpty { throw disjoint }
        return paths
    }
}
