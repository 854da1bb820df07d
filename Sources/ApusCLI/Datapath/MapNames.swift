internal import Addressing
internal import Datapath

/// What the maps call things; each is asked for once.
struct MapNames {
    private var pods: [EndpointReference: EndpointName?] = [:]
    private var services: [Frontend: ServicePortName?] = [:]
    private var rules: [PolicyDecision: String?] = [:]
    private let addresses: [IPAddress: EndpointName]

    private struct Frontend: Hashable {
        let address: SocketAddress
        let ipProtocol: IPProtocol
    }

    init(_ reader: borrowing DatapathReader) throws(DatapathReadError) {
        var addresses: [IPAddress: EndpointName] = [:]
        for endpoint in try reader.endpoints() {
            for address in endpoint.addresses { addresses[address] = endpoint.name }
        }
        self.addresses = addresses
    }

    /// The pod of this node that has an address now.
    func pod(at address: IPAddress) -> EndpointName? { addresses[address] }

    mutating func pod(_ reference: EndpointReference?, _ reader: borrowing DatapathReader) -> EndpointName? {
        guard let reference else { return nil }
        if let known = pods[reference] { return known }
        let name = reader.endpointName(reference)
        pods[reference] = .some(name)
        return name
    }

    mutating func service(
        _ address: SocketAddress, _ ipProtocol: IPProtocol, _ reader: borrowing DatapathReader
    ) -> ServicePortName? {
        let frontend = Frontend(address: address, ipProtocol: ipProtocol)
        if let known = services[frontend] { return known }
        let name = reader.serviceName(of: address, ipProtocol)
        services[frontend] = .some(name)
        return name
    }

    mutating func rule(_ decision: PolicyDecision?, _ reader: borrowing DatapathReader) -> String? {
        guard let decision else { return nil }
        if let known = rules[decision] { return known }
        let text = reader.ruleText(decision)
        rules[decision] = .some(text)
        return text
    }
}
