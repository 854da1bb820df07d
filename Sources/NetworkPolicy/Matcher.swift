internal import Addressing
internal import DomainNames

/// What a peer of an active rule matches: a base, and for a named port in egress also that the pod has the port.
struct MatcherKey: Hashable {
    let base: PeerBase
    let portName: PortName?

    /// The matcher's hash over its content, the same in every process.
    var stableHash: UInt64 {
        var hash = StableHash()
        hash.combine(description)
        return hash.finalize()
    }
}

extension MatcherKey: CustomStringConvertible {
    var description: String {
        guard let portName else { return "\(base)" }
        return "\(base) with port \(portName.name)/\(portName.ipProtocol)"
    }
}

extension PeerBase: CustomStringConvertible {
    var description: String {
        switch self {
        case .pods(let pods):
            return switch pods.scope {
            case .everywhere: "pods \(pods.selector) in every namespace"
            case .named(let name): "pods \(pods.selector) in namespace \(name)"
            case .matching(let namespaces): "pods \(pods.selector) in namespaces \(namespaces)"
            }
        case .block(let block):
            if block.exceptions.isEmpty { return "block \(block.block)" }
            return "block \(block.block) except \(block.exceptions.map(\.description).joined(separator: " "))"
        case .hostResolvers: return "the cluster's resolvers on their nodes' network"
        case .domain(let pattern):
            // The lone star of one dialect is not the star of a label.
            return pattern.form == .subdomains ? "subdomains \(pattern)" : "domain \(pattern)"
        }
    }
}

/// One member of a class signature: a matcher, and for a named port the number it has there.
struct Atom: Hashable, Comparable {
    /// Counts up with every new matcher of this process and is never used twice.
    let matcher: Int
    /// The number a named port resolves to, 0 for a matcher without one.
    let port: Port

    init(_ matcher: Int, port: Port = 0) {
        self.matcher = matcher
        self.port = port
    }

    static func < (left: Atom, right: Atom) -> Bool { (left.matcher, left.port) < (right.matcher, right.port) }
}

/// A matcher in use.
struct Matcher {
    let key: MatcherKey
    let stableHash: UInt64
    /// The active policies whose rules need it.
    var users: Set<PolicyName> = []
    /// The namespaces that match, where the scope is a namespace selector.
    var namespaces: Set<String> = []
    /// For a named port, the numbers it has on the matched addresses, and on how many.
    var numbers: [Port: Int] = [:]

    func stableHash(of atom: Atom) -> UInt64 {
        guard key.portName != nil else { return stableHash }
        var hash = StableHash()
        hash.combine(stableHash)
        hash.combine(Int(atom.port))
        return hash.finalize()
    }

    func describe(_ atom: Atom) -> String { key.portName == nil ? "\(key)" : "\(key) = \(atom.port)" }
}

/// The matchers of all active policies, and the indexes that find those of a pod.
struct MatcherTable {
    private var ids: [MatcherKey: Int] = [:]
    private var matchers: [Int: Matcher] = [:]
    private var nextID = 0
    private var byNamespace: [String: SelectorIndex<Int>] = [:]
    private var inAnyNamespace = SelectorIndex<Int>()
    private var namespaceSelectors = SelectorIndex<Int>()
    /// Matchers with a block and a named port: few, so they are simply tried.
    private(set) var namedBlocks: Set<Int> = []
    /// The matcher over resolvers on their nodes' network.
    private(set) var hostResolvers: Int?
    /// Matchers that no policy uses any more; they leave when the pointers no longer need them.
    private(set) var unused: Set<Int> = []

    subscript(id: Int) -> Matcher? { matchers[id] }

    func stableHash(of atom: Atom) -> UInt64 { matchers[atom.matcher]?.stableHash(of: atom) ?? 0 }

    func describe(_ atom: Atom) -> String { matchers[atom.matcher]?.describe(atom) ?? "gone" }

    /// Takes a matcher into use; `isNew` when no policy had it.
    mutating func retain(_ key: MatcherKey, by user: PolicyName, _ world: PodDirectory) -> (id: Int, isNew: Bool) {
        if let id = ids[key] {
            matchers[id]?.users.insert(user)
            unused.remove(id)
            return (id, false)
        }
        let id = nextID
        nextID += 1
        ids[key] = id
        var matcher = Matcher(key: key, stableHash: key.stableHash)
        matcher.users = [user]
        matcher.namespaces = index(id, key.base, world)
        if case .block = key.base, key.portName != nil { namedBlocks.insert(id) }
        if case .hostResolvers = key.base, key.portName == nil { hostResolvers = id }
        matchers[id] = matcher
        return (id, true)
    }

    mutating func release(_ id: Int, by user: PolicyName) {
        matchers[id]?.users.remove(user)
        if matchers[id]?.users.isEmpty == true { unused.insert(id) }
    }

    /// Forgets a matcher that is not used.
    mutating func remove(_ id: Int) {
        guard let matcher = matchers.removeValue(forKey: id) else { return }
        ids[matcher.key] = nil
        unused.remove(id)
        namedBlocks.remove(id)
        if hostResolvers == id { hostResolvers = nil }
        guard case .pods(let pods) = matcher.key.base else { return }
        switch pods.scope {
        case .named(let namespace):
            byNamespace[namespace]?.remove(id, pods.selector)
            if byNamespace[namespace]?.isEmpty == true { byNamespace[namespace] = nil }
        case .matching(let selector):
            inAnyNamespace.remove(id, pods.selector)
            namespaceSelectors.remove(id, selector)
        case .everywhere:
            inAnyNamespace.remove(id, pods.selector)
        }
    }

    private mutating func index(_ id: Int, _ base: PeerBase, _ world: PodDirectory) -> Set<String> {
        guard case .pods(let pods) = base else { return [] }
        switch pods.scope {
        case .named(let namespace):
            byNamespace[namespace, default: SelectorIndex()].insert(id, pods.selector)
        case .everywhere:
            inAnyNamespace.insert(id, pods.selector)
        case .matching(let selector):
            inAnyNamespace.insert(id, pods.selector)
            namespaceSelectors.insert(id, selector)
            return Set(world.namespaces.filter { selector.matches($0.value) }.keys)
        }
        return []
    }

    /// The matchers over pods that match a pod, by one atom each or one for each number of their named port.
    func atoms(of pod: PolicyPod, _ work: inout PolicyWork) -> [Atom] {
        var result: [Atom] = []
        func add(_ id: Int) {
            work.selectors += 1
            guard let matcher = matchers[id], case .pods(let pods) = matcher.key.base, pods.selector.matches(pod.labels)
            else { return }
            if case .matching = pods.scope, !matcher.namespaces.contains(pod.key.namespace) { return }
            result += Self.atoms(id, matcher.key.portName, pod)
        }
        byNamespace[pod.key.namespace]?.forEachCandidate(pod.labels, add)
        inAnyNamespace.forEachCandidate(pod.labels, add)
        return result
    }

    /// The matchers over a block and a named port that match one address of a pod.
    func namedBlockAtoms(of address: IPAddress, _ pod: PolicyPod) -> [Atom] {
        let prefix = CIDR(host: address)
        return namedBlocks.flatMap { id -> [Atom] in
            guard let matcher = matchers[id], case .block(let block) = matcher.key.base, block.contains(prefix)
            else { return [] }
            return Self.atoms(id, matcher.key.portName, pod)
        }
    }

    private static func atoms(_ id: Int, _ portName: PortName?, _ pod: PolicyPod) -> [Atom] {
        guard let portName else { return [Atom(id)] }
        return pod.resolve(portName).map { Atom(id, port: $0) }
    }

    /// Notes a namespace's labels (nil: it is gone); returns the pod sets that it entered or left.
    mutating func updateNamespace(_ name: String, from old: [String: String]?, to new: [String: String]?) -> [PodSet] {
        var candidates: Set<Int> = []
        for labels in [old, new] {
            if let labels { namespaceSelectors.forEachCandidate(labels) { candidates.insert($0) } }
        }
        return candidates.compactMap { id in
            guard case .pods(let pods) = matchers[id]?.key.base, case .matching(let selector) = pods.scope
            else { return nil }
            let matches = new.map(selector.matches) ?? false
            if matches == matchers[id]?.namespaces.contains(name) { return nil }
            if matches { matchers[id]?.namespaces.insert(name) } else { matchers[id]?.namespaces.remove(name) }
            return pods
        }
    }

    /// Counts an address that has (+1) or no longer has (-1) a named port's number; returns the policies whose rules
    /// change because the number is new or gone.
    mutating func count(_ atom: Atom, _ change: Int) -> Set<PolicyName> {
        guard atom.port != 0, matchers[atom.matcher] != nil else { return [] }
        let before = matchers[atom.matcher]?.numbers[atom.port] ?? 0
        let after = before + change
        matchers[atom.matcher]?.numbers[atom.port] = after == 0 ? nil : after
        return (before == 0) == (after == 0) ? [] : matchers[atom.matcher]?.users ?? []
    }
}

extension PolicyPod {
    /// The numbers that a named port has on this pod, in order.
    func resolve(_ wanted: PortName) -> [Port] {
        let ports = namedPorts.filter { $0.name == wanted.name && $0.ipProtocol == wanted.ipProtocol }
        return Set(ports.map(\.port)).subtracting([0]).sorted()
    }
}
