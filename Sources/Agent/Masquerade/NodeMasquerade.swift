internal import AgentAPI
internal import Addressing
internal import Datapath

/// The controller's part about what leaves in the node's name.
extension NodeController {
    /// Says where to pods keep their address.
    func refreshNonMasquerade() {
        tables.setNonMasquerade(configuration.masquerade.ranges(besides: state.podRanges.all))
    }

    /// Says where the other nodes and their pods are.
    func refreshNodeRanges() { tables.setNodeRanges(nodeRanges.all) }

    /// The uplinks by which pods reach the world. The device of an overlay leads to other nodes' pods alone.
    var masqueradingUplinks: Set<UInt32> {
        guard configuration.masquerade.isOn else { return [] }
        return servedUplinks.subtracting([routes.overlayIndex].compactMap { $0 })
    }

    /// Destinations towards which the node's ports are about to run out, as problems of the Node.
    var portProblems: [ObjectProblem] {
        guard let ports = evidence.counts.ports else { return [] }
        return ports.crowdedDestinations.sorted().prefix(20).map { destination in
            ObjectProblem(
                object: ObjectReference(kind: "Node", name: configuration.node), reason: .portsRunOut,
                message: ports.message(destination), topic: "\(destination)")
        }
    }

    var portDiagnostics: [AgentDiagnostic] {
        portProblems.map { AgentDiagnostic(object: "Node \($0.object.name)", message: $0.message) }
    }
}
