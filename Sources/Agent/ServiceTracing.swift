internal import Addressing
internal import AgentAPI
internal import LoadBalancing
internal import NetworkPolicy

extension NodeController {
    /// Where a connection of a client to a Service can end.
    func trace(_ question: ServiceQuestion) throws(AgentError) -> ServiceTrace { try state.trace(question) }
}

extension ClusterState {
    /// Where a connection of a pod of this node, of a process of the node, or of a client outside, to a Service can end,
    /// and why not elsewhere: from the objects, not from what is programmed.
    func trace(_ question: ServiceQuestion) throws(AgentError) -> ServiceTrace {
        let client = try client(question.client)
        guard let address = IPAddress(question.address), let ipProtocol = IPProtocol(question.ipProtocol) else {
            throw AgentError(.badRequest, "\(question.ipProtocol) \(question.address) is no address of a Service")
        }
        let frontend = Frontend(address: address, port: question.port, ipProtocol: ipProtocol)
        guard let explanation = services.explain(frontend, to: client.place) else {
            let insideOnly = services.explain(frontend) != nil
            throw AgentError(
                .notFound,
                insideOnly
                    ? "\(frontend) is a ClusterIP: --cluster-ip-from-outside off leaves clients outside to the host"
                    : "no Service has \(frontend)\(portsInstead(of: frontend))")
        }
        return ServiceTrace(
            explanation, frontend, of: client, isAdmitted: isAdmitted(client, to: frontend, explanation), on: node)
    }

    private func client(_ text: String) throws(AgentError) -> TracedClient {
        if let pod = localPods.first(where: { "\($0.key)" == text })?.value {
            return TracedClient(name: text, addresses: pod.addresses, place: .inside)
        }
        if let address = IPAddress(text) {
            if localAddresses.contains(address) { return .node }
            return TracedClient(name: text, addresses: [address], place: .outside)
        }
        throw AgentError(
            .notFound, "no pod \(text) of this node with an address of its own: name one of `apus endpoint list`")
    }

    /// The node's own processes are judged by what the node sends from, whichever of its addresses was named.
    private func isAdmitted(
        _ client: TracedClient, to frontend: Frontend, _ explanation: ServiceExplanation
    ) -> Bool {
        if client == .node { return services.programs[frontend]?.admitsNode ?? true }
        let ranges = explanation.sourceRanges
        return ranges.isEmpty || client.addresses.contains { address in ranges.contains { $0.contains(address) } }
    }

    /// What the address has, if it is a Service's.
    private func portsInstead(of frontend: Frontend) -> String {
        let others = services.programs.keys.filter { $0.address == frontend.address }.sorted()
        return others.isEmpty
            ? ": see `apus service list`"
            : "; \(frontend.address) has " + others.map { "\($0.ipProtocol) \($0.port)" }.joined(separator: ", ")
    }
}

/// Who asks for a Service.
private struct TracedClient: Equatable {
    /// A process of the node: it asks at its socket, before it has an address.
    static let node = TracedClient(name: ServiceTrace.thisNode, addresses: [], place: .inside)

    let name: String
    let addresses: [IPAddress]
    let place: ClientPlace
}

extension ServiceTrace {
    fileprivate init(
        _ explanation: ServiceExplanation, _ frontend: Frontend, of client: TracedClient, isAdmitted: Bool,
        on node: String
    ) {
        let portName = explanation.portName.isEmpty ? "" : ":\(explanation.portName)"
        self.init(
            client: client.name, frontend: "\(frontend)", service: "\(explanation.service)\(portName)",
            kind: Kind(explanation.kind),
            choice: Choice(explanation.choice), staysOnNode: explanation.staysOnNode,
            isFromOutside: client.place == .outside,
            sourceRanges: explanation.sourceRanges.map(\.description).sorted(), isAdmitted: isAdmitted, node: node,
            zone: explanation.zone, affinitySeconds: explanation.affinitySeconds,
            endpoints: explanation.endpoints.map { endpoint in
                Endpoint(
                    address: "\(endpoint.address.address)",
                    port: endpoint.address.port == 0 ? nil : endpoint.address.port, slice: endpoint.slice.name,
                    node: endpoint.node, zone: endpoint.zone,
                    isClient: client.addresses.contains(endpoint.address.address),
                    exclusion: endpoint.exclusion.map { Exclusion($0) })
            })
    }
}

extension ServiceTrace.Kind {
    fileprivate init(_ kind: FrontendKind) {
        switch kind {
        case .clusterIP: self = .clusterIP
        case .loadBalancer: self = .loadBalancer
        case .externalIP: self = .externalIP
        case .nodePort: self = .nodePort
        }
    }
}

extension ServiceTrace.Choice {
    fileprivate init(_ choice: ServiceExplanation.Choice) {
        switch choice {
        case .ready: self = .ready
        case .sameNode: self = .sameNode
        case .sameZone: self = .sameZone
        case .terminating: self = .terminating
        case .none: self = .none
        }
    }
}

extension ServiceTrace.Exclusion {
    fileprivate init(_ exclusion: EndpointExclusion) {
        switch exclusion {
        case .headlessSlice: self = .headlessSlice
        case .noSuchPort: self = .noSuchPort
        case .otherFamily: self = .otherFamily
        case .otherNode: self = .otherNode
        case .notReady: self = .notReady
        case .terminating: self = .terminating
        case .hintedForOtherNodes: self = .hintedForOtherNodes
        case .hintedForOtherZones: self = .hintedForOtherZones
        }
    }
}
