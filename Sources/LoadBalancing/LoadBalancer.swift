public import Addressing

/// The compiler from Services and EndpointSlices to frontends and their backends.
///
/// A value: objects come in any order (slices before their Service, and after it), edits come out. The result depends
/// only on the objects that are present, never on the order of their arrival.
public struct LoadBalancer: Sendable {
    /// A Service that wants a frontend, and what for.
    private struct Claim: Sendable, Equatable {
        let service: ServiceName
        let creationTimestamp: String?
        let purpose: WantedFrontends.Purpose

        /// By kind, then older first; one without a timestamp comes last, then names decide.
        func precedes(_ other: Claim) -> Bool {
            if purpose.kind != other.purpose.kind { return purpose.kind < other.purpose.kind }
            return switch (creationTimestamp, other.creationTimestamp) {
            case (let mine?, let others?) where mine != others: mine < others
            case (_?, nil): true
            case (nil, _?): false
            default: service < other.service
            }
        }
    }

    /// What changed since the last edits were made.
    private struct Changes {
        var frontends: Set<Frontend> = []
        var services: Set<ServiceName> = []
        /// Those whose definition changed.
        var definitions: Set<ServiceName> = []
    }

    /// What every frontend must do now.
    public private(set) var programs: [Frontend: ServiceProgram] = [:]

    /// What refuses the ports of Services' addresses that no Service has.
    public private(set) var refusals: [Frontend: ServiceProgram] = [:]

    /// What load balancers are told that look for nodes with endpoints of a Service.
    public private(set) var healthChecks: [ServiceName: HealthCheck] = [:]

    private let algorithm: SelectionAlgorithm
    private let maglevTableSize: Int
    private let servesClusterIPsOutside: Bool
    private var place: NodePlace
    private var nodeAddresses: Set<IPAddress> = []
    private var nodeSources: Set<IPAddress> = []
    private var addressesOfNodes: Set<IPAddress> = []
    private var services: [ServiceName: ServiceDefinition] = [:]
    private var slices: [SliceName: EndpointSliceDefinition] = [:]
    private var slicesOfService: [ServiceName: Set<SliceName>] = [:]
    /// The Services that want each frontend; the first one has it.
    private var claims: [Frontend: [Claim]] = [:]
    private var contested: Set<Frontend> = []
    private var faults: [SliceName: [ServiceProblem]] = [:]
    private var faultsOfServices: [ServiceName: [ServiceProblem]] = [:]

    /// A load balancer without any Service.
    ///
    /// - Parameters:
    ///   - node: this node's name, needed for Services whose traffic stays on the node.
    ///   - algorithm: how backends are chosen for clients from outside where a Service does not say it.
    ///   - maglevTableSize: the places of the table of a Service that asks for one, a prime.
    ///   - servesClusterIPsOutside: whether ClusterIPs are for clients from outside, too.
    public init(
        node: String? = nil, algorithm: SelectionAlgorithm = .random, maglevTableSize: Int = MaglevTable.defaultSize,
        servesClusterIPsOutside: Bool = true
    ) {
        place = NodePlace(node: node)
        self.algorithm = algorithm
        self.maglevTableSize = algorithm.tableSize ?? maglevTableSize
        self.servesClusterIPsOutside = servesClusterIPsOutside
    }

    /// Takes in one change and answers what the data path must change, sorted by frontend.
    public mutating func apply(_ input: ServiceInput) -> [ServiceEdit] { apply([input]) }

    /// Takes in many changes and answers their sum: a frontend is computed once, however many changes touch it.
    public mutating func apply(_ inputs: some Sequence<ServiceInput>) -> [ServiceEdit] {
        var changes = Changes()
        for input in inputs {
            switch input {
            case .upsertService(let service): replace(service.name, with: service, &changes)
            case .removeService(let name): replace(name, with: nil, &changes)
            case .upsertSlice(let slice): replace(slice.name, with: slice, &changes)
            case .removeSlice(let name): replace(name, with: nil, &changes)
            case .nodeZone(let zone): move(to: zone, &changes)
            case .nodeAddresses(let addresses): move(to: addresses, &changes)
            case .nodeSources(let addresses): send(from: addresses, &changes)
            case .addressesOfNodes(let addresses): leave(addresses, &changes)
            }
        }
        return edits(for: changes)
    }

    /// What can't be programmed as written, sorted.
    public var problems: [ServiceProblem] {
        let conflicts = contested.flatMap { frontend in
            let claims = claims[frontend] ?? []
            return claims.dropFirst().map { loser in
                ServiceProblem(
                    object: "Service \(loser.service)", reason: "\(frontend) belongs to Service \(claims[0].service)")
            }
        }
        return (conflicts + faults.values.joined() + faultsOfServices.values.joined()).sorted()
    }

    // MARK: Objects

    private mutating func replace(_ name: ServiceName, with new: ServiceDefinition?, _ changes: inout Changes) {
        let old = services[name]
        guard old != new else { return }
        services[name] = new
        changes.definitions.insert(name)
        if let old { release(wantedFrontends(of: old), of: name, &changes) }
        if let new { take(wantedFrontends(of: new), for: new, &changes) }
    }

    private mutating func replace(_ name: SliceName, with new: EndpointSliceDefinition?, _ changes: inout Changes) {
        let old = slices[name]
        guard old != new else { return }
        slices[name] = new
        faults[name] = new.flatMap(Self.faults(of:))
        if let service = old?.service, service != new?.service {
            slicesOfService[service]?.remove(name)
            if slicesOfService[service]?.isEmpty == true { slicesOfService[service] = nil }
        }
        if let service = new?.service { slicesOfService[service, default: []].insert(name) }
        for service in [old?.service, new?.service] {
            if let service { changes.services.insert(service) }
        }
    }

    /// The node is in another zone: only where endpoints have hints for zones this can make a difference.
    private mutating func move(to zone: String?, _ changes: inout Changes) {
        guard place.zone != zone else { return }
        place.zone = zone
        for slice in slices.values where slice.endpoints.contains(where: { !$0.zoneHints.isEmpty }) {
            if let service = slice.service { changes.services.insert(service) }
        }
    }

    /// The node has other addresses: node ports are on those from now on.
    private mutating func move(to addresses: Set<IPAddress>, _ changes: inout Changes) {
        guard nodeAddresses != addresses else { return }
        let exposed = services.values.filter { $0.ports.contains { $0.nodePort != nil } }
        for service in exposed { release(wantedFrontends(of: service), of: service.name, &changes) }
        nodeAddresses = addresses
        for service in exposed { take(wantedFrontends(of: service), for: service, &changes) }
    }

    /// The node's own processes connect from other addresses: they may be clients of other load balancers.
    private mutating func send(from addresses: Set<IPAddress>, _ changes: inout Changes) {
        guard nodeSources != addresses else { return }
        nodeSources = addresses
        changes.services.formUnion(services.values.lazy.filter { !$0.sourceRanges.isEmpty }.map(\.name))
    }

    /// Other addresses are nodes': of those that are Services', too, nothing else is refused.
    private mutating func leave(_ addresses: Set<IPAddress>, _ changes: inout Changes) {
        changes.frontends.formUnion(addressesOfNodes.symmetricDifference(addresses).map(Frontend.rest(of:)))
        addressesOfNodes = addresses
    }

    // MARK: Frontends

    private mutating func take(
        _ wanted: WantedFrontends, for service: ServiceDefinition, _ changes: inout Changes
    ) {
        let problems = wanted.problems + (wanted.purposes.isEmpty ? [] : Self.faultOfAlgorithm(of: service))
        faultsOfServices[service.name] = problems.isEmpty ? nil : problems
        for (frontend, purpose) in wanted.purposes {
            let claim = Claim(service: service.name, creationTimestamp: service.creationTimestamp, purpose: purpose)
            take(frontend, claim, &changes)
        }
        for (address, kind) in wanted.virtualAddresses {
            let claim = Claim(
                service: service.name, creationTimestamp: service.creationTimestamp,
                purpose: WantedFrontends.Purpose(kind: kind, portName: ""))
            take(.rest(of: address), claim, &changes)
        }
    }

    private mutating func release(_ wanted: WantedFrontends, of service: ServiceName, _ changes: inout Changes) {
        faultsOfServices[service] = nil
        for frontend in wanted.purposes.keys { release(frontend, of: service, &changes) }
        for address in wanted.virtualAddresses.keys { release(.rest(of: address), of: service, &changes) }
    }

    private func wantedFrontends(of service: ServiceDefinition) -> WantedFrontends {
        WantedFrontends(of: service, nodeAddresses: nodeAddresses)
    }

    private mutating func take(_ frontend: Frontend, _ claim: Claim, _ changes: inout Changes) {
        var present = claims[frontend] ?? []
        present.insert(claim, at: present.firstIndex { claim.precedes($0) } ?? present.endIndex)
        settle(frontend, present, &changes)
    }

    private mutating func release(_ frontend: Frontend, of service: ServiceName, _ changes: inout Changes) {
        settle(frontend, (claims[frontend] ?? []).filter { $0.service != service }, &changes)
    }

    private mutating func settle(_ frontend: Frontend, _ present: [Claim], _ changes: inout Changes) {
        claims[frontend] = present.isEmpty ? nil : present
        if present.count > 1, !frontend.isRest { contested.insert(frontend) } else { contested.remove(frontend) }
        changes.frontends.insert(frontend)
    }

    // MARK: Edits

    private mutating func edits(for changes: Changes) -> [ServiceEdit] {
        for name in changes.services.union(changes.definitions) {
            healthChecks[name] = services[name].flatMap { service in
                HealthCheck(of: service, (slicesOfService[name] ?? []).compactMap { slices[$0] }, at: place)
            }
        }
        var frontends = changes.frontends
        for name in changes.services {
            guard let service = services[name] else { continue }
            frontends.formUnion(wantedFrontends(of: service).purposes.keys)
        }
        return frontends.sorted().compactMap { update($0) }
    }

    /// The Service that has a frontend and what for; nil when none has it.
    private func holder(of frontend: Frontend) -> (ServiceDefinition, WantedFrontends.Purpose)? {
        guard let claim = claims[frontend]?.first else { return nil }
        return services[claim.service].map { ($0, claim.purpose) }
    }

    /// Computes one frontend anew; nil when nothing changed.
    private mutating func update(_ frontend: Frontend) -> ServiceEdit? {
        if frontend.isRest { return updateRefusal(frontend) }
        guard let (service, purpose) = holder(of: frontend) else {
            return programs.removeValue(forKey: frontend) == nil ? nil : .remove(frontend)
        }
        let program = program(of: service, for: frontend, purpose)
        guard programs[frontend] != program else { return nil }
        programs[frontend] = program
        return .set(frontend, program)
    }

    private mutating func updateRefusal(_ frontend: Frontend) -> ServiceEdit? {
        // An external address may be a host's or a pod's that has ports besides.
        guard !addressesOfNodes.contains(frontend.address), let (service, purpose) = holder(of: frontend),
            purpose.kind != .externalIP
        else {
            return refusals.removeValue(forKey: frontend) == nil ? nil : .remove(frontend)
        }
        let program = ServiceProgram(
            service: service.name, portName: "", kind: purpose.kind, backends: [],
            isForOutside: isForOutside(purpose))
        guard refusals.updateValue(program, forKey: frontend) != program else { return nil }
        return .set(frontend, program)
    }

    /// Whether Services have the address on every node.
    public func isVirtual(_ address: IPAddress) -> Bool { claims[.rest(of: address)] != nil }

    private func program(
        of service: ServiceDefinition, for frontend: Frontend, _ purpose: WantedFrontends.Purpose
    ) -> ServiceProgram {
        let ranges = sourceRanges(of: service, for: frontend, purpose)
        let selection = selection(of: service, for: frontend, purpose, of: .inside)
        let inside = selection.backends
        let isForOutside = isForOutside(purpose)
        let differs = selection.staysOnNode != staysOnNode(service, purpose, .outside)
        let outside =
            differs ? self.selection(of: service, for: frontend, purpose, of: .outside).backends : inside
        return ServiceProgram(
            service: service.name, portName: purpose.portName, kind: purpose.kind, backends: inside,
            outside: isForOutside ? outside : [], isForOutside: isForOutside,
            isServedElsewhere: isForOutside && selection.isServedElsewhere,
            kept: frontend.ipProtocol == .udp ? selection.kept(besides: Set(inside).union(outside)) : [],
            sourceRanges: ranges,
            admitsNode: ranges.isEmpty || nodeSources.contains { address in ranges.contains { $0.contains(address) } },
            affinitySeconds: service.affinitySeconds,
            maglevTableSize: !isForOutside || outside.isEmpty || frontend.address.isLoopback
                ? nil : algorithm(of: service, purpose).tableSize)
    }

    /// Whether a frontend is for clients from outside of the node.
    private func isForOutside(_ purpose: WantedFrontends.Purpose) -> Bool {
        purpose.kind != .clusterIP || servesClusterIPsOutside
    }

    /// A Service's own word, else the node's. That is none for ClusterIPs: each Service has some, and their tables would
    /// leave no room for those of others.
    private func algorithm(of service: ServiceDefinition, _ purpose: WantedFrontends.Purpose) -> SelectionAlgorithm {
        switch service.algorithm {
        case "random": .random
        case "maglev": .maglev(tableSize: maglevTableSize)
        default: purpose.kind == .clusterIP ? .random : algorithm
        }
    }

    private static func faultOfAlgorithm(of service: ServiceDefinition) -> [ServiceProblem] {
        guard let algorithm = service.algorithm, !["random", "maglev"].contains(algorithm) else { return [] }
        let reason = "annotation \(SelectionAlgorithm.annotation): \"\(algorithm)\" is neither random nor maglev"
        return [ServiceProblem(object: "Service \(service.name)", reason: reason)]
    }

    /// The clients of a load balancer, of its address's family; of one without any, all may come.
    private func sourceRanges(
        of service: ServiceDefinition, for frontend: Frontend, _ purpose: WantedFrontends.Purpose
    ) -> Set<CIDR> {
        guard purpose.kind == .loadBalancer else { return [] }
        return Set(service.sourceRanges.filter { $0.address.isIPv4 == frontend.address.isIPv4 })
    }

    /// Which endpoints serve clients at a frontend, and why the others don't; nil when no Service has the frontend, or
    /// it is not for clients there.
    public func explain(_ frontend: Frontend, to clients: ClientPlace = .inside) -> ServiceExplanation? {
        guard let (service, purpose) = holder(of: frontend) else { return nil }
        if clients == .outside, !isForOutside(purpose) { return nil }
        let selection = selection(of: service, for: frontend, purpose, of: clients)
        return ServiceExplanation(
            service: service.name, portName: purpose.portName, kind: purpose.kind,
            choice: selection.rule.choice, staysOnNode: selection.staysOnNode,
            sourceRanges: sourceRanges(of: service, for: frontend, purpose), zone: place.zone,
            affinitySeconds: service.affinitySeconds,
            endpoints: selection.explain((slicesOfService[service.name] ?? []).compactMap { slices[$0] }))
    }

    /// Clients of this node that ask for an address of the outside use the endpoints of the whole cluster, whatever the
    /// Service's policies say: `internalTrafficPolicy` is about its ClusterIP, whoever asks for that, and
    /// `externalTrafficPolicy` about outsiders elsewhere.
    private func staysOnNode(
        _ service: ServiceDefinition, _ purpose: WantedFrontends.Purpose, _ clients: ClientPlace
    ) -> Bool {
        if purpose.kind == .clusterIP { return service.isInternalTrafficLocal }
        return clients == .outside && service.isExternalTrafficLocal
    }

    private func selection(
        of service: ServiceDefinition, for frontend: Frontend, _ purpose: WantedFrontends.Purpose,
        of clients: ClientPlace
    ) -> BackendSelection {
        var selection = BackendSelection(
            isIPv4: frontend.address.isIPv4, ipProtocol: frontend.ipProtocol, portName: purpose.portName, place: place,
            staysOnNode: staysOnNode(service, purpose, clients))
        for name in slicesOfService[service.name] ?? [] {
            if let slice = slices[name] { selection.add(slice) }
        }
        return selection
    }

    /// Endpoints that can't be used although the slice promises that they can; nil when there are none.
    private static func faults(of slice: EndpointSliceDefinition) -> [ServiceProblem]? {
        guard slice.family != .fqdn, !slice.isHeadless, slice.service != nil else { return nil }
        let strange = slice.endpoints.compactMap(\.addresses.first).filter { $0.isIPv4 != (slice.family == .ipv4) }
        guard !strange.isEmpty else { return nil }
        return strange.map {
            ServiceProblem(object: "EndpointSlice \(slice.name)", reason: "endpoint \($0) is not of the slice's family")
        }
    }
}
