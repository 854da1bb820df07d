internal import Addressing
internal import Flows
internal import HubbleAPI

/// One end of a flow in filters, which have each field twice.
struct FilterEnd: Sendable {
    typealias Condition = FlowMatcher.Condition

    private let name: String
    private let texts: @Sendable (HubbleFlowFilter) -> Texts
    private let peer: @Sendable (FlowSight) -> Peer
    private let end: @Sendable (FlowTuple) -> SocketAddress
    private let names: @Sendable (FlowSight) -> [String]
    private let service: @Sendable (FlowSight) -> FlowService?

    /// What a filter asks of one end.
    private struct Texts {
        var ip: [String]
        var pod: [String]
        var fqdn: [String]
        var label: [String]
        var service: [String]
        var port: [String]
        var workload: [HubbleWorkload]
        var identity: [UInt32]
        var cluster: [String]
    }

    static let both = [source, destination]

    private static let source = FilterEnd(
        name: "source",
        texts: {
            Texts(
                ip: $0.sourceIp, pod: $0.sourcePod, fqdn: $0.sourceFqdn, label: $0.sourceLabel,
                service: $0.sourceService, port: $0.sourcePort, workload: $0.sourceWorkload,
                identity: $0.sourceIdentity, cluster: $0.sourceClusterName)
        },
        peer: { $0.source }, end: { $0.source }, names: { $0.sourceNames }, service: { $0.sourceService })

    private static let destination = FilterEnd(
        name: "destination",
        texts: {
            Texts(
                ip: $0.destinationIp, pod: $0.destinationPod, fqdn: $0.destinationFqdn, label: $0.destinationLabel,
                service: $0.destinationService, port: $0.destinationPort, workload: $0.destinationWorkload,
                identity: $0.destinationIdentity, cluster: $0.destinationClusterName)
        },
        peer: { $0.destination }, end: { $0.destination }, names: { $0.destinationNames },
        service: { $0.destinationService })

    /// What a filter asks of this end.
    func conditions(_ filter: HubbleFlowFilter, _ path: String) throws -> [Condition] {
        let texts = texts(filter)
        var found: [Condition] = []
        func add<Wanted: Sendable>(
            _ field: String, _ texts: [String], _ parse: (String, String) throws -> Wanted,
            _ matches: @escaping @Sendable (Wanted, FlowSight) -> Bool
        ) throws {
            if texts.isEmpty { return }
            let wanted = try texts.enumerated().map { try parse($1, "\(path).\(name)_\(field)[\($0)]") }
            found.append { sight in wanted.contains { matches($0, sight) } }
        }
        try add("ip", texts.ip, Self.prefix) { $0.contains(end($1.tuple).address) }
        try add("pod", texts.pod, NamePrefix.init) { wanted, sight in
            let peer = peer(sight)
            return peer.kind == .pod && wanted.matches(peer.namespace ?? "", peer.name ?? "")
        }
        try add("service", texts.service, NamePrefix.init) { wanted, sight in
            guard let service = service(sight) else { return false }
            return wanted.matches(service.namespace ?? "", service.name ?? "")
        }
        try add("fqdn", texts.fqdn, Self.domain) { names($1).contains(where: $0.matches) }
        try add("label", texts.label, Self.selector) { wanted, sight in
            let labels = Identity(peer(sight), node: sight.encoder.node).labels
            return wanted.matches { Self.values(of: $0, labels) }
        }
        try add("port", texts.port, Self.port) { wanted, sight in
            sight.tuple.ipProtocol.hasPorts && end(sight.tuple).port == wanted
        }
        try add("cluster_name", texts.cluster, Self.cluster) { wanted, _ in wanted == FlowEncoder.cluster }
        if !texts.identity.isEmpty {
            let wanted = Set(texts.identity)
            found.append { wanted.contains(Identity(peer($0), node: $0.encoder.node).number) }
        }
        if !texts.workload.isEmpty {
            let wanted = texts.workload
            found.append { sight in
                let peer = peer(sight)
                guard peer.kind == .pod, let workload = peer.workload else { return false }
                return wanted.contains { $0.isMet(by: workload) }
            }
        }
        return found
    }

    private static func prefix(_ text: String, _ path: String) throws -> CIDR {
        guard let prefix = CIDR(text) ?? IPAddress(text).map({ CIDR(host: $0) }) else {
            throw RequestError(path, "'\(text)' is neither an address nor a block of them")
        }
        return prefix
    }

    private static func domain(_ text: String, _ path: String) throws -> DomainFilter {
        guard let pattern = DomainFilter(text) else { throw RequestError(path, "a name is missing") }
        guard pattern.canMatch else { throw RequestError(path, "'\(text)' is no domain name, with or without stars") }
        return pattern
    }

    private static func cluster(_ text: String, _ path: String) throws -> String {
        if text.isEmpty { throw RequestError(path, "a name is missing") }
        return text
    }

    private static func selector(_ text: String, _ path: String) throws -> LabelFilter {
        guard let selector = LabelFilter(text) else {
            throw RequestError(path, "'\(text)' is no label selector, such as app=web or tier in (front, back)")
        }
        return selector
    }

    /// The values of a key among `source:key=value` or `source:key`. A key without a source is any source's.
    private static func values(of key: String, _ labels: [String]) -> [String] {
        labels.compactMap { label in
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = parts[0]
            let bare = name.firstIndex(of: ":").map { name[name.index(after: $0)...] } ?? name
            guard name == key || bare == key else { return nil }
            return parts.count == 2 ? String(parts[1]) : ""
        }
    }

    private static func port(_ text: String, _ path: String) throws -> Port {
        guard let port = Port(text), port > 0 else {
            throw RequestError(path, "'\(text)' is no port from 1 to 65535")
        }
        return port
    }
}

/// `namespace/prefix-of-a-name`, `namespace/` for all of it; without a namespace `default` is meant, as Hubble has it.
struct NamePrefix: Sendable {
    private let namespace: String
    private let name: String

    init(_ text: String, _ path: String) throws {
        if text.isEmpty { throw RequestError(path, "a name is missing") }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        (namespace, name) = parts.count == 2 ? (String(parts[0]), String(parts[1])) : ("default", text)
    }

    /// An empty part asks for nothing; no name at all is nobody's.
    func matches(_ namespace: String, _ name: String) -> Bool {
        !name.isEmpty && (self.namespace.isEmpty || self.namespace == namespace) && name.hasPrefix(self.name)
    }
}

/// `node-*` of any cluster, `cluster/node`, `cluster/` for all its nodes.
struct NodePattern: Sendable {
    private let name: DomainFilter?
    private let isInCluster: Bool

    init(_ text: String, _ path: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard !text.isEmpty, parts.count <= 2, let last = parts.last,
            parts.allSatisfy({ DomainFilter(String($0))?.canMatch ?? true })
        else { throw RequestError(path, "'\(text)' is no name of a node") }
        isInCluster = parts.count == 1 || parts[0] == "*" || parts[0].isEmpty || parts[0] == FlowEncoder.cluster
        name = DomainFilter(String(last))
    }

    func matches(_ node: String) -> Bool { isInCluster && (name?.matches(node.lowercased()) ?? true) }
}

extension DomainFilter {
    /// Whether any name could match: a blank or an empty label is in none.
    fileprivate var canMatch: Bool {
        let labels = description.split(separator: ".", omittingEmptySubsequences: false)
        let isAbsolute = labels.count > 1 && labels.last?.isEmpty == true
        return (isAbsolute ? labels.dropLast() : labels).allSatisfy { label in
            !label.isEmpty && label.utf8.allSatisfy { Self.letters.contains($0) }
        }
    }

    private static let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*".utf8)
}

extension HubbleWorkload {
    /// An empty part asks for nothing.
    fileprivate func isMet(by other: Peer.Workload) -> Bool {
        (name.isEmpty || name == other.name) && (kind.isEmpty || kind.lowercased() == other.kind.lowercased())
    }
}
