internal import Addressing
internal import Datapath
internal import Kubernetes
internal import LoadBalancing
internal import NetworkPolicy
internal import PolicyTranslation

/// A pod of this node that needs an endpoint.
struct LocalPod: Sendable, Hashable {
    var key: PodKey
    var uid: String
    var addresses: [IPAddress]
}

/// The cluster as this node sees it, and what follows from each of its changes.
///
/// A value: changes go in, edits for the data path come out. Nothing here touches the kernel.
struct ClusterState: Sendable {
    let node: String
    private let nodePorts: NodePortAddresses
    private(set) var policies: PolicyCompiler
    private(set) var services: ServiceBalancer
    /// The policy objects as the compiler got them, for explanations.
    private(set) var policyObjects: [PolicyName: PolicyInput] = [:]
    /// The pods of this node that have addresses of their own.
    private(set) var localPods: [PodKey: LocalPod] = [:]
    /// How many objects of each kind there are.
    private(set) var objectCounts: [ObjectKind: Int] = [:]
    /// Whether this node is being deleted.
    private(set) var nodeIsLeaving = false
    /// This node's object; nil while there is none.
    private(set) var ownNode: Node?
    private var known = ObjectTable<Void>()
    /// Whether there is such an object.
    func contains(_ key: ObjectKey) -> Bool { known.contains(key) }
    /// The names of the Nodes there are, in order, where none has the name of this one and no pod is on it.
    var strangers: [String] {
        guard ownNode == nil, localPods.isEmpty else { return [] }
        return known.keys.filter { $0.kind == .node }.map(\.name).sorted()
    }
    /// The addresses of this node's interfaces, and those that Node objects name.
    private(set) var localAddresses: Set<IPAddress> = []
    private var addressesOfNodes: [String: Set<IPAddress>] = [:]
    /// The incarnations of Services and policies; those of pods of this node are with them.
    private var uids: [ObjectKey: String] = [:]
    private var policyInputs = PolicyInputs()
    /// The resolvers of the cluster.
    private(set) var resolvers = ClusterResolvers()
    /// Where the nodes' pods have their addresses from.
    private(set) var podRanges = PodRanges()

    init(
        node: String, nodePorts: NodePortAddresses = .all, algorithm: SelectionAlgorithm = .random,
        maglevTableSize: Int = MaglevTable.defaultSize, servesClusterIPsOutside: Bool = true
    ) {
        self.node = node
        self.nodePorts = nodePorts
        policies = PolicyCompiler(node: node)
        services = ServiceBalancer(
            node: node, algorithm: algorithm, maglevTableSize: maglevTableSize,
            servesClusterIPsOutside: servesClusterIPsOutside)
    }

    /// What a batch of changes means.
    struct Outcome: Sendable {
        var edits: [DatapathEdit] = []
        /// Pods of this node that came, went or changed their addresses.
        var changedPods: Set<PodKey> = []
        /// Addresses that belong to another pod now, or to none any more.
        var movedAddresses: Set<IPAddress> = []
        /// Whether a Node has other ranges of pods than before.
        var movesPodRanges = false
    }

    /// Takes in a batch of changes.
    mutating func apply(_ changes: [ObjectChange]) -> Outcome {
        var outcome = Outcome()
        var serviceInputs: [ServiceInput] = []
        for change in changes {
            resolvers.apply(change)
            if podRanges.apply(change) { outcome.movesPodRanges = true }
            switch change {
            case .upsert(let object):
                note(object, &outcome)
                if let input = ServiceInput(object, on: node) { serviceInputs.append(input) }
            case .delete(let key):
                forget(key, &outcome)
                if let input = ServiceInput(deleted: key, on: node) { serviceInputs.append(input) }
            }
        }
        if noteNodes(changes) { serviceInputs.append(.addressesOfNodes(allAddressesOfNodes)) }
        if changes.contains(where: { $0.key.kind == .node && $0.key.name == node }) {
            serviceInputs.append(.nodeAddresses(nodePortAddresses))
        }
        let changed = policyInputs.apply(changes)
        for input in changed { keep(input) }
        let owners = owners(changes)
        outcome.edits = policies.apply(changed).map(DatapathEdit.policy)
        outcome.movedAddresses = Set(owners.filter { policies.owner(of: $0.key) != $0.value }.map(\.key))
        outcome.edits += services.apply(serviceInputs).map(DatapathEdit.service)
        return outcome
    }

    /// Whose the addresses are that pods may give up or take with some changes.
    private func owners(_ changes: [ObjectChange]) -> [IPAddress: PodKey?] {
        var owners: [IPAddress: PodKey?] = [:]
        for change in changes where change.key.kind == .pod {
            var addresses = policies.addresses(of: PodKey(namespace: change.key.namespace, name: change.key.name))
            if case .upsert(.pod(let pod)) = change { addresses += pod.liveAddresses }
            for address in addresses { owners.updateValue(policies.owner(of: address), forKey: address) }
        }
        return owners
    }

    /// The incarnation of an object; empty where it is not known, as of other nodes.
    func uid(of key: ObjectKey) -> String {
        if key.kind == .node { return key.name == node ? ownNode?.meta.uid ?? "" : "" }
        guard key.kind == .pod else { return uids[key] ?? "" }
        return localPods[PodKey(namespace: key.namespace, name: key.name)]?.uid ?? ""
    }

    /// Takes in the addresses of this node's own interfaces.
    mutating func setLocalAddresses(_ addresses: Set<IPAddress>) -> [DatapathEdit] {
        localAddresses = addresses
        let inputs: [ServiceInput] = [
            .nodeAddresses(nodePortAddresses), .addressesOfNodes(allAddressesOfNodes),
        ]
        return policies.apply(.localAddresses(addresses)).map(DatapathEdit.policy)
            + services.apply(inputs).map(DatapathEdit.service)
    }

    /// This node's addresses that node ports are on.
    private var nodePortAddresses: Set<IPAddress> { nodePorts.addresses(among: localAddresses, of: ownNode) }

    /// Where load balancers ask this node for endpoints; nil: at all of its addresses.
    var healthCheckAddresses: Set<IPAddress>? { nodePorts == .all ? nil : nodePortAddresses }

    private var allAddressesOfNodes: Set<IPAddress> {
        addressesOfNodes.values.reduce(into: localAddresses) { $0.formUnion($1) }
    }

    /// Takes in the addresses of nodes; true when they are others than before.
    private mutating func noteNodes(_ changes: [ObjectChange]) -> Bool {
        let before = addressesOfNodes
        for change in changes where change.key.kind == .node {
            if case .upsert(.node(let object)) = change {
                addressesOfNodes[change.key.name] = Set(object.addresses.map(\.address))
            } else {
                addressesOfNodes[change.key.name] = nil
            }
        }
        return addressesOfNodes != before
    }

    /// Those of this node's addresses that Services have on every node.
    var localVirtualAddresses: Set<IPAddress> { localAddresses.filter(services.isVirtual) }

    /// Takes in the addresses that this node's own connections come from.
    mutating func setSourceAddresses(_ addresses: Set<IPAddress>) -> [DatapathEdit] {
        services.apply(.nodeSources(addresses)).map(DatapathEdit.service)
    }

    private mutating func keep(_ input: PolicyInput) {
        guard let name = input.policy else { return }
        policyObjects[name] = input.isRemoval ? nil : input
    }

    private mutating func note(_ object: KubernetesObject, _ outcome: inout Outcome) {
        if known.updateValue((), forKey: object.key) == nil { objectCounts[object.key.kind, default: 0] += 1 }
        switch object {
        case .pod(let pod): noteLocal(pod, &outcome)
        case .node(let object) where object.meta.name == node:
            nodeIsLeaving = object.isLeaving
            ownNode = object
        case .service, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy: uids[object.key] = object.meta.uid
        default: break
        }
    }

    private mutating func forget(_ key: ObjectKey, _ outcome: inout Outcome) {
        if known.removeValue(forKey: key) != nil { objectCounts[key.kind, default: 1] -= 1 }
        uids[key] = nil
        if key.kind == .node, key.name == node { (nodeIsLeaving, ownNode) = (true, nil) }
        guard key.kind == .pod else { return }
        let pod = PodKey(namespace: key.namespace, name: key.name)
        if localPods.removeValue(forKey: pod) != nil { outcome.changedPods.insert(pod) }
    }

    /// A pod is local while it runs here on a network of its own and has an address.
    private mutating func noteLocal(_ pod: Pod, _ outcome: inout Outcome) {
        let key = PodKey(namespace: pod.meta.namespace, name: pod.meta.name)
        let isLocal = pod.nodeName == node && !pod.usesHostNetwork && !pod.liveAddresses.isEmpty
        let local = isLocal ? LocalPod(key: key, uid: pod.meta.uid, addresses: pod.liveAddresses) : nil
        guard localPods[key] != local else { return }
        localPods[key] = local
        outcome.changedPods.insert(key)
    }
}
