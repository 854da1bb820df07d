public import Addressing

/// Who has which address, and had it before, and the names that flows get from it.
///
/// A flow is told when it ends, and its address may be another pod's by then. So a pod of this node is known by the number
/// that the data path has for it, which no other one ever gets, and another one by when it had the address: what was
/// opened before is not its own.
public struct PeerDirectory: Sendable {
    /// An object, so that a look at one costs a reference, and all addresses of an owner share it.
    private final class Entry: Sendable {
        let peer: Peer
        /// Lower wins where several owners have one address.
        let rank: Int
        let ports: [ServicePeer.Port]
        /// Stands for the uid of a pod, which would take more than all else.
        let incarnation: Int
        /// Since when it has the address, as far as another one had it before; nanoseconds of a clock that does not jump.
        let since: UInt64

        init(
            peer: Peer, rank: Int, ports: [ServicePeer.Port] = [], incarnation: Int = 0, since: UInt64 = 0
        ) {
            (self.peer, self.rank) = (peer, rank)
            (self.ports, self.incarnation, self.since) = (ports, incarnation, since)
        }

        func starting(at time: UInt64) -> Entry {
            if time == since { return self }
            return Entry(peer: peer, rank: rank, ports: ports, incarnation: incarnation, since: time)
        }

        var owner: PeerOwner {
            PeerOwner(kind: peer.kind, namespace: peer.namespace ?? "", name: peer.name ?? "")
        }
    }

    /// Who has an address: nearly always one, for whom no list is made.
    private enum Holders: Sendable {
        case one(Entry)
        /// Two or more, in the order in which they count.
        case several([Entry])

        var all: [Entry] {
            switch self {
            case .one(let entry): [entry]
            case .several(let entries): entries
            }
        }

        /// The one that counts.
        var first: Entry {
            switch self {
            case .one(let entry): entry
            case .several(let entries): entries[0]
            }
        }

        /// The one that counts of those that had it then, or now.
        func atTime(_ time: UInt64) -> Entry {
            switch self {
            case .one(let entry): entry
            case .several(let entries): entries.first { $0.since <= time } ?? entries[0]
            }
        }

        /// Nil: nobody.
        init?(_ entries: [Entry]) {
            guard let first = entries.first else { return nil }
            self = entries.count == 1 ? .one(first) : .several(entries)
        }
    }

    /// What owners have in common that are told apart by their names.
    private struct Place: Hashable {
        let kind: Peer.Kind
        let namespace: String

        init(_ owner: PeerOwner) { (kind, namespace) = (owner.kind, owner.namespace) }
    }

    /// A port of a node's addresses.
    private struct NodePort: Hashable {
        let port: Port
        let ipProtocol: IPProtocol
    }

    /// As each owner has them, who may have named one twice. A whole owner as key would take twice as much as a name.
    private var addressesOfOwners: [Place: [String: [IPAddress]]] = [:]
    /// The Services behind node ports; a cluster gives no port to two.
    private var nodePorts: [NodePort: Entry] = [:]
    private var holders: [IPAddress: Holders] = [:]
    /// The number that the data path gives the next pod of this node: a higher one has not been noted yet.
    public var nextNumber: UInt32 = 0
    private var tenures = FormerTenures()
    private var locals = LocalPods()

    /// A directory that knows nobody.
    public init() {}

    /// Adds or replaces a pod; a running pod wins over a finished one that had the same address.
    ///
    /// - Parameter now: nanoseconds of a clock that does not jump.
    public mutating func upsert(_ pod: PodPeer, now: UInt64 = 0) {
        let owner = PeerOwner(kind: .pod, namespace: pod.namespace, name: pod.name)
        let peer = Peer(
            address: .unspecifiedIPv6, kind: .pod, namespace: pod.namespace, name: pod.name, labels: pod.labels,
            workload: pod.workload, node: pod.node)
        let entry = Entry(peer: peer, rank: pod.isFinished ? Self.finished : 0, incarnation: pod.uid.hashValue)
        locals.update(owner, uid: pod.uid, peer)
        replace(entry, at: pod.usesHostNetwork ? [] : pod.addresses, now: now)
    }

    /// Adds or replaces a node.
    public mutating func upsertNode(named name: String, addresses: [IPAddress], labels: [String: String] = [:]) {
        let peer = Peer(address: .unspecifiedIPv6, kind: .node, name: name, labels: labels)
        replace(Entry(peer: peer, rank: 1), at: addresses, now: 0)
    }

    /// Adds or replaces a Service.
    public mutating func upsert(_ service: ServicePeer) {
        let peer = Peer(
            address: .unspecifiedIPv6, kind: .service, namespace: service.namespace, name: service.name,
            labels: service.labels)
        let entry = Entry(peer: peer, rank: 2, ports: service.ports)
        replace(entry, at: service.addresses, now: 0)
        for port in service.ports {
            if let number = port.nodePort { nodePorts[NodePort(port: number, ipProtocol: port.ipProtocol)] = entry }
        }
    }

    /// Forgets a pod, node or Service.
    ///
    /// - Parameter now: nanoseconds of a clock that does not jump; later flows of connections from before have the pod's
    ///   name all the same.
    public mutating func remove(_ owner: PeerOwner, now: UInt64 = 0) { remove(owner, now: now, keeping: [:]) }

    /// - Parameter kept: the addresses that it goes on to have.
    private mutating func remove(_ owner: PeerOwner, now: UInt64, keeping kept: [IPAddress: UInt64]) {
        for address in setAddresses(nil, of: owner) ?? [] {
            let present = all(at: address)
            for entry in present where entry.owner == owner {
                removeNodePorts(of: entry)
                if kept[address] == nil { noteEnd(of: entry, at: address, now) }
            }
            holders[address] = Holders(present.filter { $0.owner != owner })
        }
    }

    /// Notes the number that the data path has for a pod of this node.
    public mutating func note(_ number: UInt32, of owner: PeerOwner, uid: String) {
        let address = addresses(of: owner)?.first
        let incarnation = uid.hashValue
        let entry = address.flatMap { all(at: $0).first { $0.owner == owner && $0.incarnation == incarnation } }
        let unknown = Peer(address: .unspecifiedIPv6, kind: .pod, namespace: owner.namespace, name: owner.name)
        locals.note(number, of: owner, uid: uid, entry?.peer ?? unknown)
    }

    private static let finished = 3

    private mutating func removeNodePorts(of entry: Entry) {
        for port in entry.ports {
            guard let number = port.nodePort else { continue }
            let key = NodePort(port: number, ipProtocol: port.ipProtocol)
            if nodePorts[key]?.owner == entry.owner { nodePorts[key] = nil }
        }
    }

    /// A finished pod has ended before.
    private mutating func noteEnd(of entry: Entry, at address: IPAddress, _ now: UInt64) {
        guard entry.peer.kind == .pod, entry.rank != Self.finished, entry.since < now else { return }
        tenures.note(FormerTenures.Tenure(peer: entry.peer, since: entry.since, until: now), of: address)
    }

    /// The owners of an address, the one that counts first.
    private func all(at address: IPAddress) -> [Entry] { holders[address]?.all ?? [] }

    /// Whether the owner has an address.
    public func knows(_ owner: PeerOwner) -> Bool { addresses(of: owner) != nil }

    private func addresses(of owner: PeerOwner) -> [IPAddress]? { addressesOfOwners[Place(owner)]?[owner.name] }

    /// Sets the addresses of an owner (nil: there is none), and returns those before.
    @discardableResult
    private mutating func setAddresses(_ addresses: [IPAddress]?, of owner: PeerOwner) -> [IPAddress]? {
        let place = Place(owner)
        let old = addressesOfOwners[place]?[owner.name]
        addressesOfOwners[place, default: [:]][owner.name] = addresses
        if addressesOfOwners[place]?.isEmpty == true { addressesOfOwners[place] = nil }
        return old
    }

    /// Who has the address now; a peer of kind `world` when nobody is known to have it.
    public func peer(at address: IPAddress) -> Peer {
        holders[address]?.first.peer.at(address) ?? Peer(address: address)
    }

    /// Fills in the names of both ends and of the Service.
    ///
    /// - Parameter clockOffset: what was added to the clock of the changes to get the flow's time, in nanoseconds.
    public func enrich(_ flow: inout Flow, clockOffset: Int64 = 0) {
        guard flow.kind != .lost else { return }
        let time = flow.time &- UInt64(bitPattern: clockOffset)
        let opened = time - min(flow.duration ?? 0, time)
        flow.source = peer(flow.sourceNumber, at: flow.tuple.source.address, opened)
        flow.destination = peer(flow.destinationNumber, at: flow.tuple.destination.address, opened)
        if let frontend = flow.service?.frontend { flow.service = service(at: frontend, flow.tuple.ipProtocol) }
    }

    /// Who was at an end when the connection was opened.
    private func peer(_ number: UInt32, at address: IPAddress, _ opened: UInt64) -> Peer {
        if number != 0 {
            if let pod = locals.peer(number) { return pod.at(address) }
            // One that is gone for longer than we know is none of those that are there.
            if number < nextNumber { return Peer(address: address) }
        }
        let now = holders[address].map { $0.atTime(opened) }
        let former = tenures.isEmpty ? nil : tenures.tenure(of: address, at: opened)
        if let former, now.map({ opened < $0.since || $0.since < former.since || $0.rank != 0 }) ?? true {
            return former.peer.at(address)
        }
        guard let now, now.since <= opened else { return Peer(address: address) }
        return now.peer.at(address)
    }

    private func service(at frontend: SocketAddress, _ ipProtocol: IPProtocol) -> FlowService {
        var result = FlowService(frontend: frontend)
        func isAsked(_ port: ServicePeer.Port) -> Bool { port.port == frontend.port && port.ipProtocol == ipProtocol }
        let holders = all(at: frontend.address)
        // An address outside may be shared by Services with different ports.
        let exact = holders.first { $0.peer.kind == .service && $0.ports.contains(where: isAsked) }
        let byNodePort = exact == nil ? nodePorts[NodePort(port: frontend.port, ipProtocol: ipProtocol)] : nil
        guard let entry = exact ?? byNodePort ?? holders.first(where: { $0.peer.kind == .service }) else {
            return result
        }
        let port = entry.ports.first { port in
            byNodePort == nil ? isAsked(port) : port.nodePort == frontend.port && port.ipProtocol == ipProtocol
        }
        result.namespace = entry.peer.namespace
        result.name = entry.peer.name
        result.portName = port.flatMap { $0.name.isEmpty ? nil : $0.name }
        return result
    }

    private mutating func replace(_ entry: Entry, at addresses: [IPAddress], now: UInt64) {
        let distinct = Set(addresses)
        let kept = kept(by: entry).filter { distinct.contains($0.key) }
        let owner = entry.owner
        remove(owner, now: now, keeping: kept)
        guard !addresses.isEmpty else { return }
        setAddresses(addresses, of: owner)
        for address in distinct {
            let new = entry.starting(at: kept[address] ?? start(of: entry, at: address, now))
            var present = all(at: address)
            let place = present.firstIndex { (new.rank, $0.since, owner) < ($0.rank, new.since, $0.owner) }
            present.insert(new, at: place ?? present.endIndex)
            holders[address] = Holders(present)
        }
    }

    /// Since when the same owner has its addresses, where it goes on to be what it was.
    private func kept(by entry: Entry) -> [IPAddress: UInt64] {
        var kept: [IPAddress: UInt64] = [:]
        let owner = entry.owner
        for address in addresses(of: owner) ?? [] {
            for old in all(at: address) where old.owner == owner {
                if old.incarnation == entry.incarnation, old.rank == entry.rank { kept[address] = old.since }
            }
        }
        return kept
    }

    /// Since when a new owner may have had an address: nobody tells. Where another one has ended, since then at the
    /// earliest; where one still has it, it came later than that.
    private func start(of entry: Entry, at address: IPAddress, _ now: UInt64) -> UInt64 {
        guard entry.peer.kind == .pod else { return 0 }
        let isHeld = all(at: address).contains { $0.peer.kind == .pod && $0.rank != Self.finished }
        return isHeld ? now : tenures.lastEnd(of: address)
    }
}
