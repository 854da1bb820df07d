internal import Addressing
internal import AgentAPI
internal import Datapath
internal import Flows
internal import LoadBalancing
internal import NetworkPolicy

extension DatapathStatus.Drop {
    init(_ count: DropCount) {
        self.init(
            reason: count.reason.text, direction: count.direction.text, packets: count.dropped.packets,
            bytes: count.dropped.bytes)
    }
}

extension EndpointRow {
    /// - Parameter policies: those that are in the maps and in force.
    init(_ endpoint: EndpointReading, interface: String?, policies: Set<PolicyID>) {
        let sides = [("ingress", endpoint.ingress), ("egress", endpoint.egress)]
        let closed = sides.filter { $0.1.map { !policies.contains($0) } ?? false }.map(\.0)
        self.init(
            namespace: endpoint.name?.namespace, pod: endpoint.name?.name, uid: endpoint.name?.uid,
            addresses: endpoint.addresses.map(\.description), interface: interface,
            interfaceIndex: endpoint.interface, mac: endpoint.mac.map(\.description), identity: endpoint.identity,
            slot: Int(endpoint.slot), generation: endpoint.generation, ingressPolicy: endpoint.ingress.map { "\($0)" },
            egressPolicy: endpoint.egress.map { "\($0)" }, redirect: endpoint.canRedirect,
            closed: closed.isEmpty ? nil : closed)
    }
}

extension ServiceRow.Backend {
    fileprivate init(_ backend: SocketAddress, _ names: MapNames) {
        self.init(
            address: "\(backend.address)", port: backend.port, pod: names.pod(at: backend.address).map(\.description))
    }
}

extension ServiceRow {
    init(_ service: ServiceReading, _ names: MapNames) {
        self.init(
            namespace: service.name?.namespace, service: service.name?.name,
            portName: service.name.flatMap { $0.portName.isEmpty ? nil : $0.portName },
            address: "\(service.frontend.address)", port: service.frontend.port,
            ipProtocol: "\(service.ipProtocol)", kind: service.kind.map { ServiceTrace.Kind($0) },
            backends: service.backends.map { Backend($0, names) },
            outside: service.outside.map { $0.map { Backend($0, names) } },
            sourceRanges: service.sourceRanges.map(\.description), affinitySeconds: service.affinitySeconds,
            maglevTableSize: service.maglevTableSize)
    }
}

extension PolicyRow {
    init(_ policy: PolicyReading) {
        let isolation = policy.isolationText.map { RuleReference($0) }
        let rules = policy.rules.map { Rule($0) }
        let directions =
            policy.uses.map(\.direction.text)
            + [isolation, policy.rules.first?.reference]
            .compactMap { $0?.parts?.direction.rawValue }
        self.init(
            policy: "\(policy.id)", direction: directions.first, isolates: policy.isolates,
            audits: policy.auditsRest ? true : nil, closed: policy.isTooLong ? true : nil,
            isolatedBy: isolation?.object,
            endpoints: policy.uses.map { $0.name?.description ?? "slot \($0.slot)" }.sorted(), rules: rules)
    }
}

extension PolicyRuleReading {
    fileprivate var reference: RuleReference? { text.map { RuleReference($0) } }
}

extension PolicyRow.Rule {
    init(_ rule: PolicyRuleReading) {
        let parts = rule.reference?.parts
        let place = parts.map { parts in
            "\(parts.direction.rawValue)[\(parts.index.map(String.init) ?? "")]"
        }
        self.init(
            number: Int(rule.index), kind: parts?.kind, namespace: parts?.namespace, name: parts?.name, rule: place,
            ruleName: parts?.ruleName, tier: rule.tierText, action: "\(rule.action)",
            audit: rule.isAudited ? true : nil)
    }
}

extension ConnectionRow {
    init(
        _ record: ConnectionRecord, now: UInt64, _ reader: borrowing DatapathReader, _ names: inout MapNames
    ) {
        let service = record.frontend.map { frontend in
            names.service(frontend, record.tuple.ipProtocol, reader)?.description ?? "\(frontend)"
        }
        self.init(
            ipProtocol: "\(record.tuple.ipProtocol)",
            source: End(record.tuple.source, names.pod(record.source.endpoint, reader)),
            destination: End(record.tuple.destination, names.pod(record.destination.endpoint, reader)),
            service: service, state: State(record), openedAgo: record.age(now: now), seenAgo: record.idle(now: now),
            counters: Counters(
                forwardPackets: record.source.sent.packets, forwardBytes: record.source.sent.bytes,
                reversePackets: record.destination.sent.packets, reverseBytes: record.destination.sent.bytes),
            egressRule: names.rule(record.source.decision, reader),
            ingressRule: names.rule(record.destination.decision, reader), masqueradedPort: record.nodePort)
        handshake = record.handshake
        ownPort = record.ownPort
        let (out, back) = (record.source.retransmissions, record.destination.retransmissions)
        if out != 0 || back != 0 {
            retransmissions = FlowRetransmissions(forward: UInt64(out), reverse: UInt64(back))
        }
    }
}

extension ConnectionRow.End {
    fileprivate init(_ end: SocketAddress, _ pod: EndpointName?) {
        self.init(address: "\(end.address)", port: end.port, pod: pod.map(\.description))
    }
}

extension ConnectionRow.State {
    fileprivate init(_ record: ConnectionRecord) {
        self =
            switch record.state {
            case .halfOpen: .halfOpen
            case .established: .established
            case .closing: .closing
            case .closed: record.isReset ? .reset : .closed
            }
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
