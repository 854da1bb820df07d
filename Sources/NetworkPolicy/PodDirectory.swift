internal import Addressing

/// The pods and namespaces of the cluster, and whose address is whose.
///
/// Host-network and finished pods, and those without an address, are nobody's peer and selected by nothing:
/// they are not kept.
struct PodDirectory {
    private(set) var pods = PodTable()
    private(set) var namespaces: [String: [String: String]] = [:]
    /// The namespaces whose pods are in audit mode.
    private(set) var auditedNamespaces: Set<String> = []
    private(set) var owners: [IPAddress: PodTable.Entry] = [:]
    /// All claimants of the addresses that have more than one.
    private var contested: [IPAddress: Set<PodKey>] = [:]

    subscript(key: PodKey) -> PolicyPod? { pods[key] }

    /// The pod that an address belongs to.
    func owner(of address: IPAddress) -> PolicyPod? { owners[address]?.pod }

    /// Replaces a pod (nil removes it); returns what was kept of it before and is kept now, nil when nothing changed.
    mutating func update(_ key: PodKey, _ pod: PolicyPod?) -> (old: PolicyPod?, new: PolicyPod?)? {
        let isPeer = pod.map { !$0.isHostNetwork && !$0.isTerminated && !$0.addresses.isEmpty } ?? false
        let new = isPeer ? pod : nil
        let old = pods[key]
        if old == new { return nil }
        pods[key] = new
        for address in Set(old?.addresses ?? []).subtracting(new?.addresses ?? []) { release(address, key) }
        for address in Set(new?.addresses ?? []).subtracting(old?.addresses ?? []) { claim(address, key) }
        for address in new?.addresses ?? [] where owners[address]?.pod.key == key { owners[address] = pods.entry(key) }
        return (old, new)
    }

    /// Sets a namespace's labels, or forgets the namespace; returns the labels before.
    mutating func updateNamespace(_ name: String, _ labels: [String: String]?) -> [String: String]? {
        let old = namespaces[name]
        namespaces[name] = labels
        return old
    }

    /// Sets whether the pods of a namespace are in audit mode; false when they were so before.
    mutating func setAudited(_ name: String, _ isAudited: Bool) -> Bool {
        if auditedNamespaces.contains(name) == isAudited { return false }
        if isAudited { auditedNamespaces.insert(name) } else { auditedNamespaces.remove(name) }
        return true
    }

    /// The pods of a set, found by their namespaces.
    func members(of set: PodSet) -> [PodKey] {
        switch set.scope {
        case .everywhere:
            return pods.values.filter { set.selector.matches($0.labels) }.map(\.key)
        case .named(let namespace):
            return members(of: namespace, set.selector)
        case .matching(let selector):
            return namespaces.filter { selector.matches($0.value) }.keys.flatMap { members(of: $0, set.selector) }
        }
    }

    /// The pods of a namespace that a selector matches.
    func members(of namespace: String, _ selector: CanonicalSelector) -> [PodKey] {
        pods.pods(in: namespace).filter { selector.matches($0.labels) }.map(\.key)
    }

    /// Whether a pod is in a set.
    func contains(_ pod: PolicyPod, in set: PodSet) -> Bool {
        guard set.selector.matches(pod.labels) else { return false }
        switch set.scope {
        case .everywhere: return true
        case .named(let namespace): return pod.key.namespace == namespace
        case .matching(let selector): return namespaces[pod.key.namespace].map(selector.matches) ?? false
        }
    }

    private mutating func claim(_ address: IPAddress, _ key: PodKey) {
        guard let holder = owners[address]?.pod.key else {
            owners[address] = pods.entry(key)
            return
        }
        contested[address, default: [holder]].insert(key)
        owners[address] = contested[address]?.min().flatMap(pods.entry)
    }

    private mutating func release(_ address: IPAddress, _ key: PodKey) {
        guard var claimants = contested[address] else {
            owners[address] = nil
            return
        }
        claimants.remove(key)
        owners[address] = claimants.min().flatMap(pods.entry)
        contested[address] = claimants.count > 1 ? claimants : nil
    }
}
