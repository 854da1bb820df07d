internal import Addressing

/// The way from what is dirty to edits.
///
/// Two steps keep live traffic whole while selectors change: in the first one every class knows the old and the new
/// matchers, so that old and new policies judge it right while pods are switched; the second one forgets the old.
extension PolicyCompiler {
    mutating func flush() -> [PolicyEdit] {
        var first = EditStage()
        updateSelections()
        updateActivePolicies()
        settle(&first)
        if matchers.unused.isEmpty { return first.ordered }
        var second = EditStage()
        removeUnusedMatchers()
        settle(&second)
        return first.ordered + second.ordered
    }

    // MARK: - Which policies matter

    private mutating func updateSelections() {
        for key in dirty.selections {
            let pod = directory[key].flatMap { $0.node == node ? $0 : nil }
            let new = pod.map { policies.selecting($0, directory, &work) } ?? []
            let old = endpoints[key]?.policies ?? []
            for name in old where !new.contains(name) {
                if policies.select(name, key, false) { dirty.policies.insert(name) }
            }
            for name in new where !old.contains(name) {
                if policies.select(name, key, true) { dirty.policies.insert(name) }
            }
            if pod != nil { endpoints[key, default: Endpoint()].policies = new }
        }
        dirty.lists.formUnion(dirty.selections)
        dirty.selections = []
    }

    private mutating func updateActivePolicies() {
        for name in dirty.policies.sorted() {
            let old = policies.active[name]?.matchers ?? []
            if let source = policies.sources[name], policies.selected[name] != nil {
                policies.active[name] = prepare(source)
            } else {
                policies.active[name] = nil
            }
            for id in old.subtracting(policies.active[name]?.matchers ?? []) { matchers.release(id, by: name) }
        }
        dirty.policies = []
    }

    private mutating func prepare(_ source: PolicySource) -> ActivePolicy {
        var held: Set<Int> = []
        let rules = source.rulesInForce.map { rule in
            let numbered = rule.numberedPorts
            let names = rule.portNames
            let isEgress = rule.origin.direction == .egress
            let needsPeers = !isEgress || rule.ports == nil || !numbered.isEmpty
            let peers = rule.peers.map { needsPeers ? $0.map { use($0, nil, source.key.name) } : [] }
            let anyPod = PeerBase.pods(PodSet(scope: .everywhere, selector: CanonicalSelector(.everything)))
            let named =
                !isEgress
                ? []
                : names.map { name in
                    (rule.peers ?? [anyPod]).map { use($0, name, source.key.name) }
                }
            held.formUnion(peers ?? [])
            held.formUnion(named.joined())
            return PreparedRule(
                source: rule, tier: source.key.tier, peers: peers, numbered: numbered, names: names, named: named)
        }
        return ActivePolicy(source: source, rules: rules, matchers: held)
    }

    private mutating func use(_ base: PeerBase, _ portName: PortName?, _ user: PolicyName) -> Int {
        let (id, isNew) = matchers.retain(MatcherKey(base: base, portName: portName), by: user, directory)
        if isNew {
            if case .block(let block) = base, portName == nil { prefixes.insert(id, block) }
            touch(base, portName)
        }
        return id
    }

    private mutating func removeUnusedMatchers() {
        for id in matchers.unused {
            guard let key = matchers[id]?.key else { continue }
            touch(key.base, key.portName)
            if case .block(let block) = key.base, key.portName == nil { prefixes.remove(id, block) }
            matchers.remove(id)
        }
    }

    /// Marks what a matcher that comes or goes may match.
    private mutating func touch(_ base: PeerBase, _ portName: PortName?) {
        switch base {
        case .pods(let set):
            dirty.pods.formUnion(directory.members(of: set))
        case .block(let block) where portName == nil:
            dirty.prefixes.formUnion(prefixes.affected(by: block))
            dirty.addresses.formUnion(addresses.addresses(in: block.block))
        case .block(let block):
            dirty.addresses.formUnion(directory.owners.keys.filter(block.block.contains))
        case .hostResolvers:
            dirty.addresses.formUnion(hostResolvers.addresses)
        case .domain:
            break  // no class has it
        }
    }

    // MARK: - What packets are judged by

    private mutating func settle(_ stage: inout EditStage) {
        work.pods += dirty.pods.count
        updatePods()
        let changed = dirty.addresses.sorted()
        for address in changed { updateAtoms(of: address) }
        work.addresses += changed.count
        work.lists += dirty.lists.count
        updateLists(&stage)
        for address in changed { updateClass(of: address, &stage) }
        for prefix in dirty.prefixes.sorted() { updateClass(of: prefix, &stage) }
        dirty.addresses = []
        dirty.prefixes = []
        tables.collect(&stage)
    }

    private mutating func updatePods() {
        for key in dirty.pods {
            guard let pod = directory[key] else {
                podAtoms[key] = nil
                continue
            }
            let atoms = matchers.atoms(of: pod, &work).sorted()
            if atoms == podAtoms[key] ?? [] { continue }
            podAtoms[key] = atoms.isEmpty ? nil : atoms
            dirty.addresses.formUnion(pod.addresses)
        }
        dirty.pods = []
    }

    private mutating func updateAtoms(of address: IPAddress) {
        var entry = addresses[address]
        let old = entry.atoms
        entry.atoms = []
        if let pod = directory.owner(of: address) {
            entry.atoms = (podAtoms[pod.key] ?? []) + matchers.namedBlockAtoms(of: address, pod)
        }
        if let matcher = matchers.hostResolvers, hostResolvers.contains(address) {
            entry.atoms.append(Atom(matcher))
        }
        if entry.atoms == old { return }
        var users: Set<PolicyName> = []
        for atom in Set(entry.atoms).subtracting(old) { users.formUnion(matchers.count(atom, 1)) }
        for atom in Set(old).subtracting(entry.atoms) { users.formUnion(matchers.count(atom, -1)) }
        for user in users { dirty.lists.formUnion(policies.selected[user] ?? []) }
        addresses.set(address, entry)
    }

    private mutating func updateClass(of address: IPAddress, _ stage: inout EditStage) {
        var entry = addresses[address]
        let old = entry.peerClass
        let isLocalNode = addresses.isLocalNode(address)
        entry.peerClass = nil
        if isLocalNode || !entry.atoms.isEmpty {
            let atoms = (entry.atoms + prefixes.atoms(of: CIDR(host: address))).sorted()
            entry.peerClass = PeerClass(
                id: tables.retain(atoms, matchers, &stage), isLocalNode: isLocalNode,
                isElsewhere: isLocalNode && !addresses.interfaceAddresses.contains(address))
        }
        addresses.set(address, entry)
        if let old { tables.release(old.id) }
        guard entry.peerClass != old else { return }
        stage.pointPeer(entry.peerClass.map { .setClass(address, $0) } ?? .removeClass(address))
    }

    private mutating func updateClass(of prefix: CIDR, _ stage: inout EditStage) {
        let old = prefixes.classes[prefix]
        let new =
            prefixes.isBoundary(prefix) ? tables.retain(prefixes.atoms(of: prefix).sorted(), matchers, &stage) : nil
        prefixes.classes[prefix] = new
        if let old { tables.release(old) }
        guard new != old else { return }
        stage.pointPeer(new.map { .setPrefixClass(prefix, $0) } ?? .removePrefixClass(prefix))
    }

    // MARK: - Rule lists

    /// What a rule list depends on, beside the objects.
    private struct ListKey: Hashable {
        let direction: PolicyDirection
        let policies: [PolicyName]
        /// The named ports of the pod, which ingress rules ask for.
        let ports: [NamedPort]
        /// Whether the pod's namespace is in audit mode.
        let isAudited: Bool
    }

    private typealias Compiled = (id: PolicyID, overflowedBy: PolicyName?)

    private mutating func updateLists(_ stage: inout EditStage) {
        var compiled: [ListKey: Compiled] = [:]
        for key in dirty.lists.sorted() {
            guard let pod = directory[key], pod.node == node, let policies = endpoints[key]?.policies else {
                removeEndpoint(key, &stage)
                continue
            }
            let ingress = compile(.ingress, policies, pod, &compiled, &stage)
            let egress = compile(.egress, policies, pod, &compiled, &stage)
            let new = EndpointPolicies(ingress: ingress.id, egress: egress.id)
            let old = endpoints[key]?.programmed
            endpoints[key]?.programmed = new
            endpoints[key]?.overflows[.ingress] = ingress.overflowedBy
            endpoints[key]?.overflows[.egress] = egress.overflowedBy
            release(old)
            if new != old { stage.pointEndpoint(.setEndpoint(key, new)) }
        }
        dirty.lists = []
    }

    /// The policy of one direction of a pod, with a reference to it.
    private mutating func compile(
        _ direction: PolicyDirection, _ names: [PolicyName], _ pod: PolicyPod, _ compiled: inout [ListKey: Compiled],
        _ stage: inout EditStage
    ) -> Compiled {
        let ports = direction == .ingress && !names.isEmpty ? Set(pod.namedPorts).sorted() : []
        let isAudited = !names.isEmpty && directory.auditedNamespaces.contains(pod.key.namespace)
        let key = ListKey(direction: direction, policies: names, ports: ports, isAudited: isAudited)
        if let known = compiled[key] {
            tables.retain(known.id)
            return known
        }
        let list = RuleList(
            names.compactMap { policies.active[$0] }, direction, pod, matchers, isAudited: isAudited)
        let result = (id: tables.retain(list.content, matchers, &stage), overflowedBy: list.overflowedBy)
        compiled[key] = result
        return result
    }

    private mutating func removeEndpoint(_ key: PodKey, _ stage: inout EditStage) {
        guard let endpoint = endpoints.removeValue(forKey: key) else { return }
        release(endpoint.programmed)
        if endpoint.programmed != nil { stage.pointEndpoint(.removeEndpoint(key)) }
    }

    private mutating func release(_ policies: EndpointPolicies?) {
        guard let policies else { return }
        tables.release(policies.ingress)
        tables.release(policies.egress)
    }
}
