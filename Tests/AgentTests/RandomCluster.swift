import Addressing
import Kubernetes
import LoadBalancing
import PolicyGenerators

@testable import Agent

/// A random cluster as one node of it sees it, in the agent and in the model.
struct RandomCluster {
    static let tableSize = 251

    let seed: UInt64
    let usesTables: Bool
    private var random: RandomServices
    private(set) var model: KubeProxyModel
    private(set) var state: ClusterState

    init(seed: UInt64) {
        self.seed = seed
        random = RandomServices(random: RandomSource(seed: seed))
        let node = RandomServices.nodes.randomElement(using: &random.random)!
        usesTables = Bool.random(using: &random.random)
        model = KubeProxyModel(node: node, nodePorts: random.nodePorts())
        model.servesClusterIPsOutside = Bool.random(using: &random.random)
        state = ClusterState(
            node: node, nodePorts: model.nodePorts,
            algorithm: usesTables ? .maglev(tableSize: Self.tableSize) : .random,
            maglevTableSize: Self.tableSize, servesClusterIPsOutside: model.servesClusterIPsOutside)
        var changes: [ObjectChange] = []
        for name in RandomServices.nodes { changes.append(put(random.node(name))) }
        for number in 1...RandomServices.serviceCount {
            let service = random.service(number)
            changes.append(put(service))
            for slice in 0..<Int.random(in: 1...6, using: &random.random) {
                changes.append(put(random.slice(slice, of: service, number)))
            }
        }
        putAddresses()
        _ = state.apply(changes.shuffled(using: &random.random))
        if Bool.random(using: &random.random) { putAddresses() }
    }

    /// The cluster as it has to be.
    var contest: FrontendContest {
        FrontendContest(cluster: model, ages: RandomServices.ages, usesTables: usesTables)
    }

    /// Other addresses of this node.
    private mutating func putAddresses() {
        model.localAddresses = random.nodeAddresses().union([IPAddress("fe80::1")!])
        _ = state.setLocalAddresses(model.localAddresses)
        model.nodeSources = Set(
            ["192.0.2.9", "198.51.100.9", "2001:db8::9"].shuffled(using: &random.random).prefix(2)
                .compactMap { IPAddress($0) })
        _ = state.setSourceAddresses(model.nodeSources)
    }

    private mutating func put(_ node: Node) -> ObjectChange {
        model.nodes[node.meta.name] = node
        return .upsert(.node(node))
    }

    private mutating func put(_ service: Service) -> ObjectChange {
        model.services[service.key] = service
        return .upsert(.service(service))
    }

    private mutating func put(_ slice: EndpointSlice) -> ObjectChange {
        model.slices["\(slice.meta.namespace)/\(slice.meta.name)"] = slice
        return .upsert(.endpointSlice(slice))
    }

    /// Replaces or removes an object.
    mutating func change() {
        let number = Int.random(in: 1...RandomServices.serviceCount, using: &random.random)
        let (namespace, name) = RandomServices.name(number)
        let key = "\(namespace)/\(name)"
        let change: ObjectChange
        switch Int.random(in: 0..<11, using: &random.random) {
        case 10: return putAddresses()
        case 0...2: change = put(random.node(model.node))
        case 3:
            model.nodes[model.node] = nil
            change = .delete(ObjectKey(.node, namespace: "", name: model.node))
        case 4...5: change = put(random.service(number))
        case 6:
            model.services[key] = nil
            change = .delete(ObjectKey(.service, namespace: namespace, name: name))
        case 7:
            model.slices["\(namespace)/s\(number)-0"] = nil
            change = .delete(ObjectKey(.endpointSlice, namespace: namespace, name: "s\(number)-0"))
        default:
            let slice = Int.random(in: 0...3, using: &random.random)
            change = put(random.slice(slice, of: model.services[key] ?? random.service(number), number))
        }
        _ = state.apply([change])
    }
}
