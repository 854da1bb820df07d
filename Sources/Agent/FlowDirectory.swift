internal import Addressing
internal import Datapath
internal import Flows
internal import HubbleServer
internal import Kubernetes
internal import LinuxKernel
internal import Synchronization

/// Who has which address, shared by the one who follows the cluster and the one who names flows.
final class FlowDirectory: Sendable {
    private let peers = Mutex(PeerDirectory())
    /// The nodes, for those who ask whom else to ask.
    let nodes = HubblePeers()
    /// What the rules of policies ask for, for those who look at verdicts.
    let rules = HubbleRules()
    /// Which decisions of policies the cluster wants to be logged.
    let policyLog = PolicyLogSettings()

    /// Takes in changes of objects.
    ///
    /// - Parameter now: nanoseconds of the monotonic clock.
    func apply(_ changes: [ObjectChange], now: UInt64 = KernelClock.monotonic()) {
        policyLog.apply(changes)
        rules.apply(changes)
        peers.withLock { peers in
            for change in changes {
                switch change {
                case .upsert(let object): peers.upsert(object, now: now)
                case .delete(let key): PeerOwner(key).map { peers.remove($0, now: now) }
                }
            }
        }
        for change in changes {
            switch change {
            case .upsert(.node(let node)): nodes.upsert(node.meta.name, node.reachableAddress)
            case .delete(let key) where key.kind == .node: nodes.remove(key.name)
            case .upsert, .delete: break
            }
        }
    }

    /// Whether a pod, node or Service has an address.
    func knows(_ owner: PeerOwner) -> Bool { peers.withLock { $0.knows(owner) } }

    /// Notes which pods of this node have which numbers in the data path, and which number the next one gets.
    func note(_ pods: [NumberedPod], next: UInt32) {
        peers.withLock { peers in
            peers.nextNumber = next
            for pod in pods {
                let owner = PeerOwner(kind: .pod, namespace: pod.namespace, name: pod.name)
                peers.note(pod.number, of: owner, uid: pod.uid)
            }
        }
    }

    /// Fills in the names of flows.
    ///
    /// - Parameter clockOffset: what was added to the monotonic clock to get their times.
    func enrich(_ flows: inout [Flow], clockOffset: Int64) {
        peers.withLock { peers in
            for index in flows.indices { peers.enrich(&flows[index], clockOffset: clockOffset) }
        }
    }
}

extension PeerDirectory {
    fileprivate mutating func upsert(_ object: KubernetesObject, now: UInt64) {
        switch object {
        case .pod(let pod): upsert(PodPeer(pod), now: now)
        case .node(let node):
            upsertNode(named: node.meta.name, addresses: node.addresses.map(\.address), labels: node.meta.labels)
        case .service(let service): upsert(ServicePeer(service))
        case .namespace, .endpointSlice, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy, .networkLogging:
            break
        }
    }
}

extension PeerOwner {
    fileprivate init?(_ key: ObjectKey) {
        switch key.kind {
        case .pod: self.init(kind: .pod, namespace: key.namespace, name: key.name)
        case .node: self.init(kind: .node, name: key.name)
        case .service: self.init(kind: .service, namespace: key.namespace, name: key.name)
        case .namespace, .endpointSlice, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy, .networkLogging:
            return nil
        }
    }
}

extension PodPeer {
    init(_ pod: Pod) {
        self.init(
            namespace: pod.meta.namespace, name: pod.meta.name, uid: pod.meta.uid, addresses: pod.addresses,
            labels: pod.meta.labels, workload: Peer.Workload(pod.meta), node: pod.nodeName,
            isFinished: pod.isFinished, usesHostNetwork: pod.usesHostNetwork)
    }
}

extension Peer.Workload {
    /// What manages a pod: of a ReplicaSet that a Deployment made, the Deployment, whose name comes before the hash of
    /// the template that all its pods are labelled with.
    init?(_ pod: ObjectMeta) {
        guard let owner = pod.controller else { return nil }
        let suffix = pod.labels["pod-template-hash"].map { "-\($0)" } ?? ""
        if owner.kind == "ReplicaSet", !suffix.isEmpty, owner.name.hasSuffix(suffix), owner.name != suffix {
            self.init(kind: "Deployment", name: String(owner.name.dropLast(suffix.count)))
        } else {
            self.init(kind: owner.kind, name: owner.name)
        }
    }
}

extension ServicePeer {
    init(_ service: Service) {
        self.init(
            namespace: service.meta.namespace, name: service.meta.name,
            addresses: service.isHeadless
                ? [] : service.clusterIPs + service.externalIPs + service.loadBalancer.virtualAddresses,
            ports: service.ports.map {
                Port(name: $0.name, port: $0.port, ipProtocol: $0.ipProtocol, nodePort: $0.nodePort)
            },
            labels: service.meta.labels)
    }
}

extension Node {
    /// Where other nodes find it.
    fileprivate var reachableAddress: IPAddress? {
        (addresses.first { $0.kind == .internalIP } ?? addresses.first)?.address
    }
}
