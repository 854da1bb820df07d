public import Addressing
internal import DatapathABI
public import LoadBalancing
public import NetworkPolicy

/// A change of what the data path must do.
public enum DatapathEdit: Sendable {
    case policy(PolicyEdit)
    case service(ServiceEdit)
    case endpoint(EndpointEdit)
}

/// Everything that is wanted in the maps, and what of it the kernel does not hold yet.
///
/// A value: edits change what is wanted, `plan` says what would be written and in which order, `program` writes it.
/// What fails stays wanted and is tried again with the next pass; what depends on it waits.
public struct DatapathTables: Sendable {
    /// How long content outlives the last pointer to it: far longer than a packet is in the data path.
    public static let defaultGrace: UInt64 = 1_000_000_000

    let node: String
    let layouts: MapLayouts
    var startedAt: UInt64
    let capacities: TableCapacities
    let grace: UInt64

    var info: ArrayTable
    var names = HashTable(.names)
    var policies = PolicyTables()
    var services: ServiceTables
    var endpoints: EndpointTables
    /// The names in policies.
    var domains = DomainTables()
    /// Resolvers whose answers teach names.
    var resolvers = HashTable(.dnsResolvers)
    /// The interfaces that lead out of the node.
    var uplinks = UplinkTable()
    /// Where to pods' packets keep their address.
    var nonMasquerade = HashTable(.nonMasquerade)
    /// The addresses of the other nodes and of their pods.
    var nodeRanges = HashTable(.nodeRanges)
    /// Which of the values that the kernel holds for pointers to policies and classes counts.
    var epoch = PolicyEpoch()
    /// Policy edits that are to be applied with the next pass.
    var policyEdits: [PolicyEdit] = []
    /// The endpoints that are held up, by slot.
    var heldEndpoints: [Int: HeldEndpoint] = [:]
    /// How many passes could not write classes, or parts of policies in force.
    var unsettledPasses = 0
    /// How many entries of policies and peers passes have looked at: one change must cost what it touches, whatever the
    /// size of the cluster.
    package internal(set) var entriesLookedAt = 0
    /// Pods whose edits wait until their policies are known.
    var endpointEdits: [EndpointEdit] = []

    /// Passes after which a change comes into force although a part of it can't be written: a full map must not keep
    /// other policies from changing. What would judge amiss is closed before.
    var fullPatience = 4

    /// Empty tables.
    ///
    /// - Parameters:
    ///   - node: this node's name, for readers of the maps.
    ///   - startedAt: the real time in nanoseconds at which new maps count as created.
    ///   - grace: nanoseconds that content outlives the last pointer to it.
    ///   - layouts: what the maps say of themselves.
    public init(
        node: String, startedAt: UInt64, capacities: TableCapacities = TableCapacities(),
        grace: UInt64 = DatapathTables.defaultGrace, layouts: MapLayouts = .current
    ) {
        self.node = node
        self.layouts = layouts
        self.startedAt = startedAt
        self.capacities = capacities
        self.grace = grace
        info = ArrayTable(.info, capacity: 1)
        services = ServiceTables(capacities: capacities)
        endpoints = EndpointTables(capacity: capacities.endpoints)
    }

    // MARK: Edits

    /// Takes in changes; nothing is written before `program`.
    public mutating func apply(_ edits: some Sequence<DatapathEdit>) {
        for edit in edits {
            switch edit {
            case .policy(let edit): policyEdits.append(edit)
            case .service(let edit): services.apply(edit, names: &names)
            case .endpoint(let edit): endpointEdits.append(edit)
            }
        }
    }

    /// Says which resolvers are trusted, and as what: all others' answers teach nothing.
    public mutating func setResolvers(_ prefixes: [CIDR: ResolverTrust]) {
        let wanted = Dictionary(prefixes.map { ($0.key.key, $0.value) }) { $0.union($1) }
        for key in resolvers.entries.keys where wanted[key] == nil && !resolvers.unclaimed.contains(key) {
            resolvers.remove(key)
        }
        for (key, trust) in wanted { resolvers.put(key, Bytes(of: trust.rawValue)) }
    }

    /// Says by which interfaces clients from outside come in, what the node sends from there, and by which of them what
    /// pods send leaves in the node's name; true when that is another than before.
    public mutating func setUplinks(_ addresses: [UInt32: UplinkAddresses], masquerading: Set<UInt32> = []) -> Bool {
        uplinks.set(addresses, masquerading: masquerading)
    }

    /// Says where to pods' packets keep their address.
    public mutating func setNonMasquerade(_ ranges: Set<CIDR>) {
        nonMasquerade.want(Dictionary(uniqueKeysWithValues: ranges.map { ($0, UInt32(1)) }))
    }

    /// Says where the other nodes and their pods are: who may send packets here that are wrapped for a backend, and who
    /// unwraps them.
    public mutating func setNodeRanges(_ ranges: [CIDR: NodeRange]) { nodeRanges.want(ranges.mapValues(\.rawValue)) }

    /// Applies the waiting edits to the tables. They come into force together, in however many steps they came.
    mutating func takeEdits() {
        for edit in policyEdits {
            policies.apply(edit, names: &names)
            switch edit {
            case .setPolicy(let policy): note(policy)
            case .removePolicy(let id): domains.remove(id.rawValue)
            default: break
            }
            // A pod that is going away keeps its policies until its endpoint is gone.
            if case .setEndpoint(let pod, let assigned) = edit { endpoints.setPolicies(assigned, of: pod) }
            if case .removeEndpoint(let pod) = edit { endpoints.forgetPolicies(of: pod) }
        }
        if !policyEdits.isEmpty {
            policies.dropUnwritten(policiesInUse: endpoints.policiesInUse.union(endpoints.policiesWanted))
        }
        policyEdits = []
        for edit in endpointEdits { endpoints.apply(edit, names: &names) }
        endpointEdits = []
        updateDomains()
    }

    private mutating func note(_ policy: CompiledPolicy) {
        guard !policy.domains.isEmpty else { return }
        domains.set(policy)
        policies.hasChangedDomains = true
    }

    /// What `datapath_info` must hold.
    mutating func updateInfo() {
        var value = Bytes(of: layouts.version) + Bytes(of: endpoints.nextIdentity) + Bytes(of: startedAt)
        value += Bytes(node.utf8.prefix(255))
        value += Bytes(zeros: InfoRecord.layoutsOffset - value.count)
        for since in layouts.since { value += Bytes(of: since) }
        value += Bytes(zeros: info.elementSize - value.count)
        info.set(0, bytes: value)
    }

    /// Whether the pod's endpoint and its policies are in force, so that programs may be put on its interface.
    ///
    /// An edit that has not been written yet counts as not in force.
    public func isProgrammed(_ pod: PodKey) -> Bool {
        let isEdited = endpointEdits.contains { $0.pod == pod } || policyEdits.contains { $0.assignedPod == pod }
        return !isEdited && endpoints.isProgrammed(pod)
    }

    /// The number that the next endpoint gets; none ever has that of another one.
    public var nextNumber: UInt32 { endpoints.nextIdentity }

    /// The pods that got their numbers from `first` on.
    public func pods(from first: UInt32) -> [NumberedPod] {
        guard first < nextNumber else { return [] }
        return endpoints.records.values.compactMap { record in
            guard record.wanted.identity >= first, let name = record.name else { return nil }
            return NumberedPod(
                number: record.wanted.identity, namespace: name.pod.namespace, name: name.pod.name, uid: name.uid)
        }
    }

    /// The policies that judge a pod in the kernel; nil when the pod has no endpoint there.
    public func policies(of pod: PodKey) -> EndpointPolicies? {
        endpoints.records.values.first { $0.name?.pod == pod && $0.actual != nil }?.actual?.policies
    }

    // MARK: Problems

    /// What found no room, in order.
    public var exhausted: [DatapathProblem] {
        let frontends = services.waiting.map { frontend, wait in
            DatapathProblem(
                object: "service \(ServiceDirectory.name(wait.program)) (\(frontend))", reason: wait.reason)
        }
        let pods = endpoints.waiting.keys.map {
            DatapathProblem(object: "endpoint \($0)", reason: .endpointsExhausted)
        }
        return (frontends + pods).sorted { $0.object < $1.object }
    }

    /// Endpoints that were put in force without their policy, in order.
    var closed: [DatapathProblem] {
        let absent = policies.absent
        if absent.isEmpty { return [] }
        let closed = endpoints.records.values.flatMap { record -> [DatapathProblem] in
            guard let endpoint = record.actual, let pod = record.name?.pod else { return [] }
            let sides = [(TrafficDirection.ingress, endpoint.ingress_policy), (.egress, endpoint.egress_policy)]
            return sides.filter { absent.contains($0.1) }.map { direction, policy in
                DatapathProblem(object: "endpoint \(pod)", reason: .closed(direction, policy: policyName(policy)))
            }
        }
        return closed.sorted { ($0.object, "\($0.reason)") < ($1.object, "\($1.reason)") }
    }
}

extension PolicyEdit {
    /// The pod whose policies the edit assigns.
    fileprivate var assignedPod: PodKey? {
        if case .setEndpoint(let pod, _) = self { pod } else { nil }
    }
}

extension HashTable {
    /// Wants these ranges in a table of ranges, and no others but those that nobody has asked about yet.
    fileprivate mutating func want(_ ranges: [CIDR: UInt32]) {
        let wanted = Dictionary(uniqueKeysWithValues: ranges.map { ($0.key.key, $0.value) })
        for key in entries.keys where wanted[key] == nil && !unclaimed.contains(key) { remove(key) }
        for (key, value) in wanted { put(key, Bytes(of: value)) }
    }
}
