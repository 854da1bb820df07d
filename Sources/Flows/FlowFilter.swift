public import Addressing

/// A name that a filter asks for: `namespace/name`, a bare `name` of any namespace, or either with a final `*`.
public struct NamePattern: Sendable, Hashable, LosslessStringConvertible {
    private let namespace: String?
    private let name: String
    private let isPrefix: Bool

    /// Parses a pattern; nil when a part is empty or there are too many of them.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let last = parts.last, parts.allSatisfy({ !$0.isEmpty }) else {
            return nil
        }
        isPrefix = last.hasSuffix("*")
        name = String(isPrefix ? last.dropLast() : last)
        namespace = parts.count == 2 ? String(parts[0]) : nil
        guard !name.contains("*"), namespace?.contains("*") != true else { return nil }
    }

    /// The text it was parsed from.
    public var description: String { (namespace.map { $0 + "/" } ?? "") + name + (isPrefix ? "*" : "") }

    /// Whether the pattern means the object.
    public func matches(namespace: String?, name: String?) -> Bool {
        guard let name, self.namespace == nil || self.namespace == namespace else { return false }
        return isPrefix ? name.hasPrefix(self.name) : name == self.name
    }

    fileprivate func matches(_ peer: Peer, _ kind: Peer.Kind) -> Bool {
        peer.kind == kind && matches(namespace: peer.namespace, name: peer.name)
    }
}

/// Domain names that a filter asks for: each `*` is any characters, dots included; case and a trailing dot change
/// nothing.
public struct DomainFilter: Sendable, Hashable, LosslessStringConvertible {
    /// The text that it was parsed from.
    public let description: String
    private let parts: [Substring]

    /// Parses a name with or without stars; nil when it is empty.
    public init?(_ text: String) {
        let name = text.lowercased()
        let normal = name.hasSuffix(".") ? name.dropLast() : name[...]
        if normal.isEmpty { return nil }
        description = text
        parts = normal.split(separator: "*", omittingEmptySubsequences: false)
    }

    /// Whether a name in lower case and without a trailing dot is meant.
    public func matches(_ name: String) -> Bool {
        guard let first = parts.first, let last = parts.last, name.hasPrefix(first) else { return false }
        if parts.count == 1 { return name == first }
        var rest = name.dropFirst(first.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.hasSuffix(last)
    }
}

/// Which flows are wanted: in each field any of its values will do (an empty field asks for nothing), all fields must agree.
///
/// Records of loss match every filter, for what is missing might have matched.
public struct FlowFilter: Sendable, Hashable {
    /// Namespaces of either end or of the Service.
    public var namespaces: [String] = []
    /// Pods at either end.
    public var pods: [NamePattern] = []
    /// Labels of the pod at either end.
    public var labels: [LabelFilter] = []
    /// Services asked for, or at either end.
    public var services: [NamePattern] = []
    /// Addresses of either end or of the Service.
    public var addresses: [CIDR] = []
    /// Ports of either end or of the Service.
    public var ports: [Port] = []
    public var protocols: [IPProtocol] = []
    public var verdicts: [Flow.Verdict] = []
    public var kinds: [Flow.Kind] = []
    /// Names of the destination, or asked for.
    public var names: [DomainFilter] = []

    /// A filter that everything matches.
    public init() {}

    /// Whether the flow is wanted.
    public func matches(_ flow: Flow) -> Bool {
        if flow.kind == .lost { return true }
        return (kinds.isEmpty || kinds.contains(flow.kind))
            && (verdicts.isEmpty || verdicts.contains(flow.verdict))
            && (protocols.isEmpty || protocols.contains(flow.tuple.ipProtocol))
            && (ports.isEmpty || ports.contains { matches(port: $0, flow) })
            && (addresses.isEmpty || addresses.contains { matches(prefix: $0, flow) })
            && (namespaces.isEmpty || namespaces.contains { matches(namespace: $0, flow) })
            && (pods.isEmpty || pods.contains { matches(pod: $0, flow) })
            && (labels.isEmpty || labels.contains { matches(labels: $0, flow) })
            && (services.isEmpty || services.contains { matches(service: $0, flow) })
            && (names.isEmpty || names.contains { matches(name: $0, flow) })
    }

    private func matches(port: Port, _ flow: Flow) -> Bool {
        flow.tuple.source.port == port || flow.tuple.destination.port == port || flow.service?.frontend.port == port
    }

    private func matches(prefix: CIDR, _ flow: Flow) -> Bool {
        prefix.contains(flow.tuple.source.address) || prefix.contains(flow.tuple.destination.address)
            || flow.service.map { prefix.contains($0.frontend.address) } ?? false
    }

    private func matches(namespace: String, _ flow: Flow) -> Bool {
        flow.source.namespace == namespace || flow.destination.namespace == namespace
            || flow.service?.namespace == namespace
    }

    private func matches(pod: NamePattern, _ flow: Flow) -> Bool {
        pod.matches(flow.source, .pod) || pod.matches(flow.destination, .pod)
    }

    private func matches(labels: LabelFilter, _ flow: Flow) -> Bool {
        [flow.source, flow.destination].contains { $0.kind == .pod && labels.matches($0.labels) }
    }

    private func matches(name: DomainFilter, _ flow: Flow) -> Bool {
        flow.destinationNames.contains(where: name.matches) || flow.dns.map { name.matches($0.query) } ?? false
    }

    private func matches(service: NamePattern, _ flow: Flow) -> Bool {
        flow.service.map { service.matches(namespace: $0.namespace, name: $0.name) } == true
            || service.matches(flow.source, .service) || service.matches(flow.destination, .service)
    }
}
