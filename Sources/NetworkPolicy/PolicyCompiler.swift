public import Addressing

/// Turns changes of the cluster into edits of the tables that this node's packets are judged by.
///
/// A change costs what it touches. The tables that all edits since the beginning add up to depend only on the objects
/// as they are now, whatever the order in which they came: ids are hashes of what they stand for.
public struct PolicyCompiler: Sendable {
    /// The name of this node; policies matter here when they select one of its pods.
    public let node: String

    var directory = PodDirectory()
    var hostResolvers = HostResolvers()
    var matchers = MatcherTable()
    var prefixes = PrefixTable()
    var addresses = AddressTable()
    var tables = ProgramTables()
    var policies = PolicyDirectory()
    /// The pods of this node.
    var endpoints: [PodKey: Endpoint] = [:]
    /// What selectors match each pod, where any does.
    var podAtoms: [PodKey: [Atom]] = [:]
    var dirty = DirtySets()
    /// What was looked at so far: the difference is what a change cost.
    public internal(set) var work = PolicyWork()

    /// A pod of this node and what it is judged by.
    struct Endpoint {
        /// The policies that select it, in the order in which they are judged.
        var policies: [PolicyName] = []
        /// Nil until it is programmed.
        var programmed: EndpointPolicies?
        /// The policies with which its lists became too long, by direction.
        var overflows: [PolicyDirection: PolicyName] = [:]
    }

    /// What has to be looked at again before the edits are complete.
    struct DirtySets {
        var policies: Set<PolicyName> = []
        /// Pods of this node whose policies may be others.
        var selections: Set<PodKey> = []
        /// Pods of this node whose rule lists may be others.
        var lists: Set<PodKey> = []
        /// Pods that other selectors may match.
        var pods: Set<PodKey> = []
        var addresses: Set<IPAddress> = []
        var prefixes: Set<CIDR> = []
    }

    /// A compiler that knows no object yet.
    ///
    /// - Parameter node: this node's name, as pods have it in `spec.nodeName`.
    public init(node: String) { self.node = node }

    /// Takes one change; returns the edits that bring the tables up to it.
    public mutating func apply(_ input: PolicyInput) -> [PolicyEdit] { apply([input]) }

    /// Takes changes together; returns the edits that bring the tables up to all of them.
    public mutating func apply(_ inputs: some Sequence<PolicyInput>) -> [PolicyEdit] {
        for input in inputs { take(input) }
        return flush()
    }

    /// All entries that the tables should have, as edits of empty tables.
    public func everything() -> [PolicyEdit] {
        var stage = EditStage()
        tables.all(&stage)
        for (address, entry) in addresses.entries.sorted(by: { $0.key < $1.key }) {
            if let peerClass = entry.peerClass { stage.pointPeer(.setClass(address, peerClass)) }
        }
        for (prefix, peerClass) in prefixes.classes.sorted(by: { $0.key < $1.key }) {
            stage.pointPeer(.setPrefixClass(prefix, peerClass))
        }
        for (key, endpoint) in endpoints.sorted(by: { $0.key < $1.key }) {
            if let programmed = endpoint.programmed { stage.pointEndpoint(.setEndpoint(key, programmed)) }
        }
        return stage.ordered
    }

    /// The objects that are not in force as written, and why.
    public var problems: [PolicyProblem] {
        var result = Set(policies.sources.values.flatMap(\.problems))
        for (key, endpoint) in endpoints {
            for (direction, name) in endpoint.overflows {
                result.insert(
                    PolicyProblem(
                        object: name, field: "spec.\(direction.rawValue)",
                        message: "pod \(key) has more than \(CompiledPolicy.maximumRules) rules with this policy"))
            }
        }
        return result.sorted()
    }

    /// The policies with which pods of this node have more rules than can be programmed, by direction: those pods are
    /// closed there.
    public var overflows: [PodKey: [PolicyDirection: PolicyName]] {
        endpoints.mapValues(\.overflows).filter { !$0.value.isEmpty }
    }

    /// The reference verdict over the same cluster, judged by these policies: it shares the pods and namespaces, not the
    /// rules made of them. Making it costs the policies.
    public func oracle(_ policies: some Sequence<PolicyInput>) -> PolicyOracle {
        var oracle = PolicyOracle(
            node: node, pods: directory.pods, namespaces: directory.namespaces,
            auditedNamespaces: directory.auditedNamespaces, hostPods: hostResolvers.pods,
            nodeAddresses: addresses.nodeAddresses, interfaceAddresses: addresses.interfaceAddresses)
        for policy in policies { oracle.apply(policy) }
        oracle.owners = directory.owners
        return oracle
    }

    /// The pod that an address belongs to.
    public func owner(of address: IPAddress) -> PodKey? { directory.owner(of: address)?.key }

    /// The addresses of a pod that peers can have; none of a pod on its host's network.
    public func addresses(of pod: PodKey) -> [IPAddress] { directory[pod]?.addresses ?? [] }

    /// A policy in force.
    public func policy(_ id: PolicyID) -> CompiledPolicy? { tables.policy(id) }

    /// The selectors and blocks that a class in force stands for, as text in a stable order.
    public func describe(_ id: ClassID) -> [String] { tables.describe(id, matchers) }

    /// What a pod of this node is judged by, nil for any other pod.
    public func endpoint(_ key: PodKey) -> EndpointPolicies? { endpoints[key]?.programmed }

    /// The objects that select a pod of this node, in the order in which they are judged.
    public func policies(selecting key: PodKey) -> [PolicyName] { endpoints[key]?.policies ?? [] }

    /// Those of them that say anything about a direction.
    public func policies(selecting key: PodKey, _ direction: PolicyDirection) -> [PolicyName] {
        policies(selecting: key).filter { policies.sources[$0]?.directions.contains(direction) ?? false }
    }
}

// MARK: - Taking changes

extension PolicyCompiler {
    private mutating func take(_ input: PolicyInput) {
        switch input {
        case .pod(let pod): take(pod.key, pod)
        case .podRemoved(let key): take(key, nil)
        case .namespace(let name, let labels, let isAudited):
            takeNamespace(name, labels)
            takeAudit(name, isAudited)
        case .namespaceRemoved(let name):
            takeNamespace(name, nil)
            takeAudit(name, false)
        case .policy(let object): take(PolicySource(object))
        case .policyRemoved(let namespace, let name):
            removePolicy(PolicyName(kind: .networkPolicy, namespace: namespace, name: name))
        case .clusterPolicy(let object): take(PolicySource(object))
        case .clusterPolicyRemoved(let name):
            removePolicy(PolicyName(kind: .clusterNetworkPolicy, namespace: "", name: name))
        case .fqdnPolicy(let object): take(PolicySource(object))
        case .fqdnPolicyRemoved(let namespace, let name):
            removePolicy(PolicyName(kind: .fqdnNetworkPolicy, namespace: namespace, name: name))
        case .node(let name, let addresses): if name == node { takeNode(Set(addresses)) }
        case .nodeRemoved(let name): if name == node { takeNode([]) }
        case .localAddresses(let new):
            dirty.addresses.formUnion(addresses.interfaceAddresses.symmetricDifference(new))
            addresses.interfaceAddresses = new
        }
    }

    private mutating func takeNode(_ new: Set<IPAddress>) {
        dirty.addresses.formUnion(addresses.nodeAddresses.symmetricDifference(new))
        addresses.nodeAddresses = new
    }

    private mutating func take(_ key: PodKey, _ pod: PolicyPod?) {
        dirty.addresses.formUnion(hostResolvers.update(key, pod))
        guard let change = directory.update(key, pod) else { return }
        dirty.pods.insert(key)
        for version in [change.old, change.new] {
            guard let version else { continue }
            dirty.addresses.formUnion(version.addresses)
            if version.node == node { dirty.selections.insert(key) }
        }
    }

    private mutating func takeNamespace(_ name: String, _ labels: [String: String]?) {
        let old = directory.updateNamespace(name, labels)
        if old == labels { return }
        for set in matchers.updateNamespace(name, from: old, to: labels) {
            dirty.pods.formUnion(directory.members(of: name, set.selector))
        }
        if policies.hasNamespaceSelectors {
            dirty.selections.formUnion(endpoints.keys.filter { $0.namespace == name })
        }
    }

    private mutating func takeAudit(_ namespace: String, _ isAudited: Bool) {
        guard directory.setAudited(namespace, isAudited) else { return }
        dirty.lists.formUnion(endpoints.keys.filter { $0.namespace == namespace })
    }

    private mutating func take(_ source: PolicySource) {
        if policies.sources[source.key.name] == source { return }
        policies.set(source)
        markChanged(source.key.name)
        for key in endpoints.keys {
            if let pod = directory[key], directory.contains(pod, in: source.subject) { dirty.selections.insert(key) }
        }
    }

    private mutating func removePolicy(_ name: PolicyName) {
        if policies.remove(name) { markChanged(name) }
    }

    private mutating func markChanged(_ name: PolicyName) {
        dirty.policies.insert(name)
        dirty.selections.formUnion(policies.selected[name] ?? [])
    }
}
