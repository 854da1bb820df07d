/// The policy objects of the cluster, and those that select pods of this node.
struct PolicyDirectory {
    private(set) var sources: [PolicyName: PolicySource] = [:]
    private var byNamespace: [String: SelectorIndex<PolicyName>] = [:]
    private var inAnyNamespace = SelectorIndex<PolicyName>()
    /// The pods of this node that each policy selects, where it selects any.
    private(set) var selected: [PolicyName: Set<PodKey>] = [:]
    /// The policies that select pods of this node, with their matchers in use.
    var active: [PolicyName: ActivePolicy] = [:]

    /// Whether any policy finds its pods by the labels of namespaces.
    var hasNamespaceSelectors: Bool { !inAnyNamespace.isEmpty }

    mutating func set(_ source: PolicySource) {
        let name = source.key.name
        remove(name)
        sources[name] = source
        if case .named(let namespace) = source.subject.scope {
            byNamespace[namespace, default: SelectorIndex()].insert(name, source.subject.selector)
        } else {
            inAnyNamespace.insert(name, source.subject.selector)
        }
    }

    /// Forgets an object; false when there was none.
    @discardableResult
    mutating func remove(_ name: PolicyName) -> Bool {
        guard let source = sources.removeValue(forKey: name) else { return false }
        if case .named(let namespace) = source.subject.scope {
            byNamespace[namespace]?.remove(name, source.subject.selector)
            if byNamespace[namespace]?.isEmpty == true { byNamespace[namespace] = nil }
        } else {
            inAnyNamespace.remove(name, source.subject.selector)
        }
        return true
    }

    /// The policies that select a pod, in the order in which they are judged.
    func selecting(_ pod: PolicyPod, _ world: PodDirectory, _ work: inout PolicyWork) -> [PolicyName] {
        var found: [SourceKey] = []
        func consider(_ name: PolicyName) {
            work.selectors += 1
            if let source = sources[name], world.contains(pod, in: source.subject) { found.append(source.key) }
        }
        byNamespace[pod.key.namespace]?.forEachCandidate(pod.labels, consider)
        inAnyNamespace.forEachCandidate(pod.labels, consider)
        return found.sorted().map(\.name)
    }

    /// Notes whether a policy selects a pod; true when it begins or ceases to select any.
    mutating func select(_ name: PolicyName, _ key: PodKey, _ isSelected: Bool) -> Bool {
        let before = selected[name]?.isEmpty ?? true
        if isSelected {
            selected[name, default: []].insert(key)
        } else {
            selected[name]?.remove(key)
            if selected[name]?.isEmpty == true { selected[name] = nil }
        }
        return before != (selected[name]?.isEmpty ?? true)
    }
}
