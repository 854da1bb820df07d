public import Addressing

/// The owner of addresses, by what it is and its name.
public struct PeerOwner: Sendable, Hashable, Comparable {
    public let kind: Peer.Kind
    /// Empty for a node.
    public let namespace: String
    public let name: String

    public init(kind: Peer.Kind, namespace: String = "", name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    public static func < (left: PeerOwner, right: PeerOwner) -> Bool {
        (left.kind.rawValue, left.namespace, left.name) < (right.kind.rawValue, right.namespace, right.name)
    }
}

/// A pod as the directory knows it.
public struct PodPeer: Sendable, Equatable {
    public var namespace: String
    public var name: String
    public var addresses: [IPAddress]
    public var labels: [String: String]
    public var workload: Peer.Workload?
    /// The node that it runs on.
    public var node: String?
    /// Whether its containers have ended: its addresses may already belong to another pod.
    public var isFinished: Bool
    /// Whether it shares the node's network: its addresses are the node's, and stay the node's here.
    public var usesHostNetwork: Bool

    public init(
        namespace: String, name: String, addresses: [IPAddress], labels: [String: String] = [:],
        workload: Peer.Workload? = nil, node: String? = nil, isFinished: Bool = false, usesHostNetwork: Bool = false
    ) {
        self.namespace = namespace
        self.name = name
        self.addresses = addresses
        self.labels = labels
        self.workload = workload
        self.node = node
        self.isFinished = isFinished
        self.usesHostNetwork = usesHostNetwork
    }
}

/// A Service as the directory knows it.
public struct ServicePeer: Sendable, Equatable {
    /// A port of the Service.
    public struct Port: Sendable, Hashable {
        public var name: String
        public var port: Addressing.Port
        public var ipProtocol: IPProtocol
        /// The port of every node's addresses that leads to it; nil: there is none.
        public var nodePort: Addressing.Port?

        public init(
            name: String, port: Addressing.Port, ipProtocol: IPProtocol, nodePort: Addressing.Port? = nil
        ) {
            self.name = name
            self.port = port
            self.ipProtocol = ipProtocol
            self.nodePort = nodePort
        }
    }

    public var namespace: String
    public var name: String
    public var addresses: [IPAddress]
    public var ports: [Port]
    public var labels: [String: String]

    public init(
        namespace: String, name: String, addresses: [IPAddress], ports: [Port] = [], labels: [String: String] = [:]
    ) {
        self.namespace = namespace
        self.name = name
        self.addresses = addresses
        self.ports = ports
        self.labels = labels
    }
}

/// Who has which address, and the names that flows get from it.
public struct PeerDirectory: Sendable {
    /// An object, as each address of the owner refers to it.
    private final class Entry: Sendable {
        let owner: PeerOwner
        let peer: Peer
        /// Lower wins where several owners have one address.
        let rank: Int
        let ports: [ServicePeer.Port]

        init(owner: PeerOwner, peer: Peer, rank: Int, ports: [ServicePeer.Port]) {
            self.owner = owner
            self.peer = peer
            self.rank = rank
            self.ports = ports
        }
    }

    /// Who has an address: nearly always one, for whom no list is made.
    private struct Holders: Sendable {
        /// The one that counts.
        var first: Entry
        /// The others, in the order in which they would.
        var others: [Entry] = []

        var all: [Entry] { [first] + others }

        /// Nil: nobody.
        init?(_ entries: some Sequence<Entry>) {
            var entries = entries.makeIterator()
            guard let first = entries.next() else { return nil }
            self.first = first
            while let other = entries.next() { others.append(other) }
        }
    }

    /// A port of a node's addresses.
    private struct NodePort: Hashable {
        let port: Port
        let ipProtocol: IPProtocol
    }

    private var addressesOfOwner: [PeerOwner: [IPAddress]] = [:]
    /// The Services behind node ports; a cluster gives no port to two.
    private var nodePorts: [NodePort: Entry] = [:]
    private var holders: [IPAddress: Holders] = [:]

    /// A directory that knows nobody.
    public init() {}

    /// Adds or replaces a pod; a running pod wins over a finished one that had the same address.
    public mutating func upsert(_ pod: PodPeer) {
        let owner = PeerOwner(kind: .pod, namespace: pod.namespace, name: pod.name)
        let peer = Peer(
            address: .unspecifiedIPv6, kind: .pod, namespace: pod.namespace, name: pod.name, labels: pod.labels,
            workload: pod.workload, node: pod.node)
        let entry = Entry(owner: owner, peer: peer, rank: pod.isFinished ? 3 : 0, ports: [])
        replace(entry, at: pod.usesHostNetwork ? [] : pod.addresses)
    }

    /// Adds or replaces a node.
    public mutating func upsertNode(named name: String, addresses: [IPAddress], labels: [String: String] = [:]) {
        let peer = Peer(address: .unspecifiedIPv6, kind: .node, name: name, labels: labels)
        replace(Entry(owner: PeerOwner(kind: .node, name: name), peer: peer, rank: 1, ports: []), at: addresses)
    }

    /// Adds or replaces a Service.
    public mutating func upsert(_ service: ServicePeer) {
        let owner = PeerOwner(kind: .service, namespace: service.namespace, name: service.name)
        let peer = Peer(
            address: .unspecifiedIPv6, kind: .service, namespace: service.namespace, name: service.name,
            labels: service.labels)
        let entry = Entry(owner: owner, peer: peer, rank: 2, ports: service.ports)
        replace(entry, at: service.addresses)
        for port in service.ports {
            if let number = port.nodePort { nodePorts[NodePort(port: number, ipProtocol: port.ipProtocol)] = entry }
        }
    }

    /// Forgets a pod, node or Service.
    public mutating func remove(_ owner: PeerOwner) {
        for address in addressesOfOwner.removeValue(forKey: owner) ?? [] {
            let present = holders[address]?.all ?? []
            for entry in present where entry.owner == owner { removeNodePorts(of: entry) }
            holders[address] = Holders(present.lazy.filter { $0.owner != owner })
        }
    }

    private mutating func removeNodePorts(of entry: Entry) {
        for port in entry.ports {
            guard let number = port.nodePort else { continue }
            let key = NodePort(port: number, ipProtocol: port.ipProtocol)
            if nodePorts[key]?.owner == entry.owner { nodePorts[key] = nil }
        }
    }

    /// Whether the owner has an address.
    public func knows(_ owner: PeerOwner) -> Bool { addressesOfOwner[owner] != nil }

    /// Who has the address now; a peer of kind `world` when nobody is known to have it.
    public func peer(at address: IPAddress) -> Peer {
        holders[address]?.first.peer.at(address) ?? Peer(address: address)
    }

    /// Fills in the names of both ends and of the Service.
    public func enrich(_ flow: inout Flow) {
        guard flow.kind != .lost else { return }
        flow.source = peer(at: flow.tuple.source.address)
        flow.destination = peer(at: flow.tuple.destination.address)
        if let frontend = flow.service?.frontend { flow.service = service(at: frontend, flow.tuple.ipProtocol) }
    }

    private func service(at frontend: SocketAddress, _ ipProtocol: IPProtocol) -> FlowService {
        var result = FlowService(frontend: frontend)
        func isAsked(_ port: ServicePeer.Port) -> Bool { port.port == frontend.port && port.ipProtocol == ipProtocol }
        let services = (holders[frontend.address]?.all ?? []).filter { $0.owner.kind == .service }
        // An address outside may be shared by Services with different ports.
        let exact = services.first { $0.ports.contains(where: isAsked) }
        let byNodePort = exact == nil ? nodePorts[NodePort(port: frontend.port, ipProtocol: ipProtocol)] : nil
        guard let entry = exact ?? byNodePort ?? services.first else { return result }
        let port = entry.ports.first { port in
            byNodePort == nil ? isAsked(port) : port.nodePort == frontend.port && port.ipProtocol == ipProtocol
        }
        result.namespace = entry.owner.namespace
        result.name = entry.owner.name
        result.portName = port.flatMap { $0.name.isEmpty ? nil : $0.name }
        return result
    }

    private mutating func replace(_ entry: Entry, at addresses: [IPAddress]) {
        remove(entry.owner)
        guard !addresses.isEmpty else { return }
        addressesOfOwner[entry.owner] = addresses
        for address in Set(addresses) {
            var present = holders[address]?.all ?? []
            let place = present.firstIndex { (entry.rank, entry.owner) < ($0.rank, $0.owner) } ?? present.endIndex
            present.insert(entry, at: place)
            holders[address] = Holders(present)
        }
    }
}
