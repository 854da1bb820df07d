internal import Addressing
internal import Kubernetes

extension Sequence<NetworkPolicyPort> {
    /// Whether a flow that `receiver` gets goes to one of the ports; one without ports, such as ICMP, never does.
    func match(_ flow: FlowTuple, receiver: Pod?) -> Bool { contains { $0.matches(flow, receiver: receiver) } }
}

extension NetworkPolicyPort {
    /// A name means the port that the receiving pod gives it; who is no pod has no names.
    fileprivate func matches(_ flow: FlowTuple, receiver: Pod?) -> Bool {
        guard flow.ipProtocol == ipProtocol else { return false }
        let wanted = flow.destination.port
        switch port {
        case nil: return true
        case .number(let first): return first <= wanted && wanted <= endPort ?? first
        case .name(let name):
            return receiver?.ports.contains {
                $0.name == name && $0.ipProtocol == ipProtocol && $0.port == wanted
            } ?? false
        }
    }
}
