internal import Addressing
internal import Datapath
internal import Flows

extension Flow {
    /// An event with the names that the maps have: pods of this node, Services, rules and learned names.
    ///
    /// - Parameter clockOffset: what to add to the monotonic clock to get nanoseconds since 1970.
    init(
        _ event: DatapathEvent, node: String, clockOffset: Int64, _ reader: borrowing DatapathReader,
        _ names: inout MapNames, _ domains: inout AddressNames
    ) {
        self.init(event, node: node, clockOffset: clockOffset)
        source = Peer(event.tuple.source.address, names.pod(event.source, reader))
        destination = Peer(event.tuple.destination.address, names.pod(event.destination, reader))
        service = event.frontend.map { FlowService($0, names.service($0, event.tuple.ipProtocol, reader)) }
        egressRule = names.rule(event.egress, reader).map { RuleReference($0) }
        ingressRule = names.rule(event.ingress, reader).map { RuleReference($0) }
        destinationNames =
            event.egress.map { domains.names(of: destination.address, for: $0.policy).map(\.name) } ?? []
    }

    /// A DNS answer, likewise.
    init(
        _ answer: DatapathAnswer, node: String, clockOffset: Int64, _ reader: borrowing DatapathReader,
        _ names: inout MapNames
    ) {
        self.init(answer, node: node, clockOffset: clockOffset)
        source = Peer(answer.tuple.source.address, names.pod(answer.client, reader))
        destination = Peer(
            answer.tuple.destination.address, names.pod(at: answer.tuple.destination.address))
        service = answer.frontend.map { FlowService($0, names.service($0, answer.tuple.ipProtocol, reader)) }
        egressRule = names.rule(answer.egress, reader).map { RuleReference($0) }
    }
}

extension Peer {
    fileprivate init(_ address: IPAddress, _ pod: EndpointName?) {
        guard let pod else {
            self.init(address: address)
            return
        }
        self.init(address: address, kind: .pod, namespace: pod.namespace, name: pod.name)
    }
}

extension FlowService {
    fileprivate init(_ frontend: SocketAddress, _ name: ServicePortName?) {
        self.init(
            frontend: frontend, namespace: name?.namespace, name: name?.name,
            portName: name.flatMap { $0.portName.isEmpty ? nil : $0.portName })
    }
}
