package import Addressing
package import Kubernetes

/// Random clusters as the Kubernetes API has them, changes of them and connections in them, all from one seed.
///
/// It writes every field of both kinds of policy, and everything that is written is valid: what comes of it is what the
/// documentation says. `ClusterGenerator` is its twin for the compiler, which has to cope with broken objects too.
package struct ObjectGenerator: Sendable {
    /// The node that most pods are on.
    package static let node = "n1"
    private static let podCount = 14
    private static let policyCount = 6
    private static let clusterPolicyCount = 3

    package var random: RandomSource
    private var current: [ObjectKey: KubernetesObject] = [:]
    /// The keys of the objects in order.
    private var keys: [ObjectKey] = []
    /// Those of the pods that have a network of their own.
    private var podAddresses: [IPAddress] = []

    package init(seed: UInt64) { random = RandomSource(seed: seed) }

    /// The objects as they are now, in order.
    package var objects: [KubernetesObject] { keys.compactMap { current[$0] } }

    /// Fills an empty cluster; returns the changes that make it.
    package mutating func fill() -> [ObjectChange] {
        var changes: [ObjectChange] = []
        func add(_ object: KubernetesObject) {
            changes.append(.upsert(object))
            note(.upsert(object))
        }
        // The nodes first: host-network pods have their addresses.
        for number in 1...2 { add(.node(random.node(number))) }
        for name in Pools.namespaces where random.chance(90) { add(.namespace(random.namespace(name))) }
        for number in 0..<Self.podCount { add(.pod(pod(number))) }
        for number in 0..<Self.policyCount { add(.networkPolicy(random.networkPolicy(number))) }
        for number in 0..<Self.clusterPolicyCount { add(.clusterNetworkPolicy(random.clusterPolicy(number))) }
        findPodAddresses()
        return changes
    }

    /// Makes so many random changes, or fewer where two fall on one object, as a batch of a source: deletions first.
    package mutating func changes(_ count: Int) -> [ObjectChange] {
        let all = (0..<count).map { _ in change() }
        let last = Dictionary(all.map { ($0.key, $0) }) { $1 }.values.sorted { $0.key < $1.key }
        findPodAddresses()
        return last.filter { current[$0.key] == nil } + last.filter { current[$0.key] != nil }
    }

    private mutating func change() -> ObjectChange {
        let deletable = random.chance(25) ? keys.filter { $0.kind != .node } : []
        let change = deletable.randomElement(using: &random).map(ObjectChange.delete) ?? .upsert(replacement())
        note(change)
        return change
    }

    private mutating func note(_ change: ObjectChange) {
        switch change {
        case .upsert(let object):
            guard current.updateValue(object, forKey: object.key) == nil else { return }
            keys.insert(object.key, at: keys.firstIndex { object.key < $0 } ?? keys.endIndex)
        case .delete(let key):
            current[key] = nil
            keys.removeAll { $0 == key }
        }
    }

    private mutating func findPodAddresses() {
        podAddresses = objects.flatMap { object -> [IPAddress] in
            if case .pod(let pod) = object, !pod.usesHostNetwork { pod.liveAddresses } else { [] }
        }
    }

    private mutating func replacement() -> KubernetesObject {
        switch random.roll(10) {
        case 0: .namespace(random.namespace(Pools.namespaces.pick(&random)))
        case 1: .node(random.node(1 + random.roll(2)))
        case 2...4: .pod(pod(random.roll(Self.podCount)))
        case 5...7: .networkPolicy(random.networkPolicy(random.roll(Self.policyCount)))
        default: .clusterNetworkPolicy(random.clusterPolicy(random.roll(Self.clusterPolicyCount)))
        }
    }

    /// A pod, whose addresses no other running one has.
    private mutating func pod(_ number: Int) -> Pod {
        var pod = random.pod(number)
        if pod.usesHostNetwork { pod.addresses = addresses(ofNode: pod.nodeName ?? "") }
        return pod
    }

    private func addresses(ofNode name: String) -> [IPAddress] {
        guard case .node(let node) = current[ObjectKey(.node, name: name)] else { return [] }
        return node.addresses.map(\.address)
    }

    /// The first packet of a connection from or to a pod; nil when there is no pod with an address.
    package mutating func opening() -> FlowTuple? {
        guard let own = podAddresses.randomElement(using: &random), let peer = peer(of: own) else { return nil }
        let icmp: IPProtocol = own.isIPv4 ? .icmp : .icmpv6
        let ipProtocol = [.tcp, .tcp, .tcp, .udp, .udp, .sctp, .sctp, icmp].pick(&random)
        let port = ipProtocol.hasPorts ? Pools.packetPorts.filter { $0 > 0 }.pick(&random) : 0
        let (source, destination) = random.chance(50) ? (own, peer) : (peer, own)
        return FlowTuple(
            source: SocketAddress(source, 0), destination: SocketAddress(destination, port), ipProtocol: ipProtocol)
    }

    /// A pod most of the time, else a node, or an address at the edge of some block.
    private mutating func peer(of own: IPAddress) -> IPAddress? {
        let nodes = ["n1", "n2"].flatMap(addresses(ofNode:))
        let pool = random.chance(65) ? podAddresses : random.chance(40) ? nodes : Pools.edgeAddresses
        return pool.filter { $0.isIPv4 == own.isIPv4 }.randomElement(using: &random)
    }
}
