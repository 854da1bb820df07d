internal import Addressing

extension ClusterNetworkPolicy {
    init(_ fields: Fields, meta: ObjectMeta) throws(FieldError) {
        let spec = try fields.required("spec", Fields.init)
        do throws(FieldError) { try self.init(spec: spec, meta) } catch { throw error.inside(.field("spec")) }
    }

    private init(spec: Fields, _ meta: ObjectMeta) throws(FieldError) {
        var errors = GatheredErrors()
        errors.attempt { () throws(FieldError) in
            try spec.refuseOthers(than: ["tier", "priority", "subject", "ingress", "egress"])
        }
        let tier: Tier? = errors.attempt { () throws(FieldError) in try spec.required("tier", Read.name) }
        let priority = errors.attempt { () throws(FieldError) in try spec.required("priority", Read.integer(0...1000)) }
        let ingress = errors.attempt { () throws(FieldError) in
            try spec.shortList("ingress") { (value) throws(FieldError) in
                try ClusterNetworkPolicyRule(value, peers: "from", ClusterNetworkPolicyPeer.source)
            }
        }
        let egress = errors.attempt { () throws(FieldError) in
            try spec.shortList("egress") { (value) throws(FieldError) in
                try ClusterNetworkPolicyRule(value, peers: "to", ClusterNetworkPolicyPeer.destination)
            }
        }
        let subject = errors.attempt { () throws(FieldError) in try spec.required("subject", PodSelection.init) }
        guard errors.isEmpty, let tier, let priority, let ingress, let egress, let subject else { throw errors.error }
        self.init(meta: meta, tier: tier, priority: Int(priority), ingress: ingress, egress: egress)
        (namespaceSelector, podSelector) = subject.selectors
    }
}

/// What subjects and peers share: `namespaces`, or `pods` with a selector of each.
private enum PodSelection {
    case namespaces(LabelSelector)
    case pods(LabelSelector, LabelSelector)

    init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        try fields.requireOne(of: ["namespaces", "pods"])
        if let namespaces = try fields.optional("namespaces", LabelSelector.init) {
            self = .namespaces(namespaces)
        } else {
            self = try fields.required("pods") { (value) throws(FieldError) in
                var errors = GatheredErrors()
                let pods = try Fields(value)
                try pods.refuseOthers(than: ["namespaceSelector", "podSelector"])
                // Missing and empty both mean every namespace.
                let home = errors.attempt { () throws(FieldError) in
                    try pods.optional("namespaceSelector", LabelSelector.init) ?? LabelSelector()
                }
                let own = errors.attempt { () throws(FieldError) in
                    try pods.required("podSelector", LabelSelector.init)
                }
                guard errors.isEmpty, let home, let own else { throw errors.error }
                return .pods(home, own)
            }
        }
    }

    var selectors: (LabelSelector, LabelSelector) {
        switch self {
        case .namespaces(let namespaces): (namespaces, LabelSelector())
        case .pods(let namespaces, let pods): (namespaces, pods)
        }
    }
}

extension ClusterNetworkPolicyRule {
    fileprivate init(
        _ value: ManifestValue, peers: String, _ peer: Fields.Reader<ClusterNetworkPolicyPeer>
    ) throws(FieldError) {
        var errors = GatheredErrors()
        let fields = try Fields(value)
        errors.attempt { () throws(FieldError) in
            try fields.refuseOthers(than: ["name", "action", peers, "protocols"])
        }
        let name = errors.attempt { () throws(FieldError) in try fields.optional("name", Self.ruleName) ?? nil }
        let action: Action? = errors.attempt { () throws(FieldError) in try fields.required("action", Read.name) }
        let ports = errors.attempt { () throws(FieldError) in
            try fields.optionalShortList("protocols", NetworkPolicyPort.ofClusterPolicy)?.flatMap { $0 }
        }
        let hasNamedPort = (ports ?? nil)?.contains { if case .name = $0.port { true } else { false } } ?? false
        let found = errors.attempt { () throws(FieldError) in
            let found = try fields.shortList(peers) { (value) throws(FieldError) in
                let peer = try peer(value)
                if let problem = peer.problem(action, hasNamedPort) { throw FieldError(problem) }
                return peer
            }
            if found.isEmpty { throw FieldError("needs at least one peer").inside(.field(peers)) }
            return found
        }
        guard errors.isEmpty, let name, let action, let ports, let found else { throw errors.error }
        self.init(name: name, action: action, peers: found, ports: ports)
    }

    /// The longest name in characters, as the API counts them: code points.
    private static let longestName = 100

    /// A name; an empty one is none.
    private static func ruleName(_ value: ManifestValue) throws(FieldError) -> String? {
        let name = try Read.string(value)
        let length = name.unicodeScalars.count
        if length > longestName { throw FieldError("has \(length) characters, more than \(longestName)") }
        return name.isEmpty ? nil : name
    }
}

extension ClusterNetworkPolicyPeer {
    /// Why a rule can't have this peer; of a rule whose action can't be read it may be right.
    fileprivate func problem(_ action: ClusterNetworkPolicyRule.Action?, _ hasNamedPort: Bool) -> String? {
        switch self {
        case .domainNames where action != nil && action != .accept: "only a rule that accepts can have domainNames"
        case .nodes, .networks, .domainNames: hasNamedPort ? "only pods have named ports" : nil
        case .namespaces, .pods, .unreadable: nil
        }
    }

    fileprivate static func source(_ value: ManifestValue) throws(FieldError) -> ClusterNetworkPolicyPeer {
        if value.isUnreadable { return .unreadable }
        return switch try PodSelection(value) {
        case .namespaces(let namespaces): .namespaces(namespaces)
        case .pods(let namespaces, let pods): .pods(namespaces: namespaces, pods: pods)
        }
    }

    fileprivate static func destination(_ value: ManifestValue) throws(FieldError) -> ClusterNetworkPolicyPeer {
        if value.isUnreadable { return .unreadable }
        let fields = try Fields(value)
        try fields.requireOne(of: ["namespaces", "pods", "nodes", "networks", "domainNames"])
        if let nodes = try fields.optional("nodes", LabelSelector.init) { return .nodes(nodes) }
        if let networks = try fields.optionalShortList("networks", Read.cidr) { return .networks(networks) }
        if let names = try fields.optionalShortList("domainNames", Read.nonEmptyString) { return .domainNames(names) }
        return try source(value)
    }
}

extension NetworkPolicyPort {
    /// An item of `protocols`: ports of one protocol, or a named port, which may be of any of them.
    fileprivate static func ofClusterPolicy(_ value: ManifestValue) throws(FieldError) -> [NetworkPolicyPort] {
        let fields = try Fields(value)
        let names: [(String, IPProtocol)] = [("tcp", .tcp), ("udp", .udp), ("sctp", .sctp)]
        try fields.requireOne(of: names.map(\.0) + ["destinationNamedPort"])
        for (name, ipProtocol) in names {
            let port = try fields.optional(name) { (value) throws(FieldError) in
                try NetworkPolicyPort(ipProtocol, try Fields(value))
            }
            if let port { return [port] }
        }
        let name = try fields.required("destinationNamedPort", Read.portName)
        return names.map { NetworkPolicyPort(protocol: $0.1, port: .name(name)) }
    }

    private init(_ ipProtocol: IPProtocol, _ fields: Fields) throws(FieldError) {
        try fields.refuseOthers(than: ["destinationPort"])
        self = try fields.required("destinationPort") { (value) throws(FieldError) in
            let port = try Fields(value)
            try port.requireOne(of: ["number", "range"])
            if let number = try port.optional("number", Read.port) {
                return NetworkPolicyPort(protocol: ipProtocol, port: .number(number))
            }
            return try port.required("range") { (value) throws(FieldError) in
                try NetworkPolicyPort(ipProtocol, range: try Fields(value))
            }
        }
    }

    private init(_ ipProtocol: IPProtocol, range: Fields) throws(FieldError) {
        try range.refuseOthers(than: ["start", "end"])
        var errors = GatheredErrors()
        let first = errors.attempt { () throws(FieldError) in try range.required("start", Read.port) }
        let last = errors.attempt { () throws(FieldError) in
            try range.required("end") { (value) throws(FieldError) in
                let last = try Read.port(value)
                if let first, last <= first { throw .expected("an integer above \(first)", got: value) }
                return last
            }
        }
        guard errors.isEmpty, let first, let last else { throw errors.error }
        self.init(protocol: ipProtocol, port: .number(first), endPort: last)
    }
}

extension Fields {
    /// The most entries that the API takes in any list of the kind.
    private static let longest = 25

    /// As `optionalList`, of one to 25 entries: an empty one must not stand for everything.
    fileprivate func optionalShortList<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> [T]? {
        let entries = try optionalList(name, read)
        if let entries, entries.isEmpty { throw FieldError("needs at least one entry").inside(.field(name)) }
        if let entries, entries.count > Self.longest {
            throw FieldError("has \(entries.count) entries, more than \(Self.longest)").inside(.field(name))
        }
        return entries
    }

    /// As `list`, of up to 25 entries.
    fileprivate func shortList<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> [T] {
        if case .list(let entries) = object[name], entries.isEmpty { return [] }
        return try optionalShortList(name, read) ?? []
    }
}
