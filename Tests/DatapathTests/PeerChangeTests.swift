import Addressing
@testable import Datapath
import DatapathABI
import NetworkPolicy
import PolicyGenerators
import Testing

/// What an endpoint's verdict on a peer rests on, beside the content of its policies, which never changes.
private struct Ground: Hashable {
    let policies: [UInt32]
    let bits: [Bytes?]
    let isLocalNode: Bool
}

/// Watches the maps, write by write: on what live connections may have been judged since their endpoint's last
/// generation.
private final class GroundWatch {
    private let peers: [IPAddress]
    private var stamps: [Int: [UInt32]] = [:]
    private(set) var seen: [Int: [IPAddress: Set<Ground>]] = [:]

    init(peers: [IPAddress]) { self.peers = peers }

    func look(_ kernel: FakeKernel, slots: Range<Int>) {
        let known = peers.map { ($0, Self.peer($0, kernel)) }
        let lacksHead = { (policy: UInt32) in
            policy != 0 && kernel.hashes[.policyPages]?[PolicyTables.headKey(policy)] == nil
        }
        for slot in slots {
            guard let endpoint = kernel.endpoint(slot) else { continue }
            let stamp = [endpoint.identity, endpoint.generation]
            if stamps.updateValue(stamp, forKey: slot) != stamp { seen[slot] = [:] }
            let policies = [endpoint.ingress_policy, endpoint.egress_policy]
            // What is closed admits nothing, so that no connection rests on it.
            if policies.contains(where: lacksHead) { continue }
            for (address, peer) in known {
                let bits = policies.map {
                    kernel.hashes[.policyPeers]?[PolicyTables.peersKey($0, peer.class_id, page: 0)]
                }
                let isNode = policies[0] != 0 && peer.flags != 0
                seen[slot, default: [:]][address, default: []].insert(
                    Ground(policies: policies, bits: bits, isLocalNode: isNode))
            }
        }
    }

    /// As the programs find it: an address, else the longest prefix.
    private static func peer(_ address: IPAddress, _ kernel: FakeKernel) -> apus_peer_epoch {
        if let value = kernel.peer(.peerClasses, address.key) {
            return value.load(apus_peer_epoch.self) ?? apus_peer_epoch()
        }
        let lengths = Set((kernel.hashes[.peerPrefixes] ?? [:]).keys.compactMap { $0.load(UInt32.self) })
        for length in lengths.sorted(by: >) {
            let key = Bytes(of: length) + address.masked(to: Int(length)).bytes
            if let value = kernel.peer(.peerPrefixes, key) {
                return apus_peer_epoch(class_id: value.load(UInt32.self) ?? 0, flags: 0)
            }
        }
        return apus_peer_epoch()
    }
}

@Suite("Peers that become others")
struct PeerChangeTests {
    /// A cluster that changes at random, its maps, and what judging rests on.
    private struct World {
        var generator: ClusterGenerator
        var compiler = PolicyCompiler(node: ClusterGenerator.node)
        var rig = Rig()
        let watch: GroundWatch
        private var specs: [PodKey: EndpointSpec] = [:]
        private var interfaces: UInt32 = 100

        init(seed: UInt64) {
            var shape = ClusterShape()
            shape.includesSharedAddresses = false
            shape.includesNames = false
            shape.fqdnPolicies = 0
            var random = ClusterGenerator(seed: seed, shape: shape)
            let inputs = random.fill()
            let watch = GroundWatch(peers: Set((0..<40).map { _ in random.peerAddress() }).sorted())
            generator = random
            self.watch = watch
            rig.kernel.afterWrite = { watch.look($0, slots: 1..<24) }
            apply(inputs)
        }

        mutating func apply(_ inputs: [PolicyInput]) {
            let edits = compiler.apply(inputs)
            rig.tables.apply(edits.map(DatapathEdit.policy) + endpointEdits().map(DatapathEdit.endpoint))
        }

        private mutating func endpointEdits() -> [EndpointEdit] {
            let local = generator.pods.filter { _, pod in
                pod.node == ClusterGenerator.node && !pod.isHostNetwork && !pod.isTerminated && !pod.addresses.isEmpty
            }
            var edits: [EndpointEdit] = []
            for (key, spec) in specs where local[key]?.addresses != spec.addresses {
                edits.append(.remove(key))
                specs[key] = nil
            }
            for (key, pod) in local.sorted(by: { $0.key < $1.key }) where specs[key] == nil {
                interfaces += 1
                let spec = EndpointSpec(
                    pod: key, uid: "\(interfaces)", addresses: pod.addresses, interface: interfaces, mac: nil,
                    hostMAC: MACAddress(bits: 0xee), canRedirect: true)
                specs[key] = spec
                edits.append(.upsert(spec))
            }
            return edits
        }

        /// The endpoints that may have live connections which were judged on another ground than they would be now.
        var stale: [String] {
            rig.tables.endpoints.records.keys.sorted().flatMap { slot in
                (watch.seen[slot] ?? [:]).filter { $0.value.count > 1 }.map { "slot \(slot): \($0.key)" }
            }
        }

        /// The generations of endpoints with policies.
        var generations: [Int: UInt32] {
            rig.tables.endpoints.records.filter { $0.value.isJudged }.compactMapValues(\.actual?.generation)
        }
    }

    @Test(
        "No live connection is left with a verdict on other grounds than those of now",
        arguments: [1, 2, 3, 4] as [UInt64])
    func nobodyIsLeftOut(seed: UInt64) throws {
        var (changed, spared) = (0, 0)
        for sequence in 0..<2 {
            var world = World(seed: seed &* 100 &+ UInt64(sequence))
            _ = world.rig.settle()
            for step in 0..<20 {
                let before = world.generations
                let count = Int.random(in: 1...3, using: &world.generator.random)
                world.apply((0..<count).map { _ in world.generator.change() })
                // Some changes meet a kernel that refuses some writes.
                var random = RandomSource(seed: seed &+ UInt64(step))
                world.rig.kernel.fails =
                    step.isMultiple(of: 4) ? { _ in Int.random(in: 0..<10, using: &random) == 0 } : { _ in false }
                if !world.rig.program().isComplete {
                    world.rig.kernel.fails = { _ in false }
                    _ = world.rig.settle()
                }
                try #require(world.stale == [], "seed \(seed), sequence \(sequence), step \(step)")
                let now = world.generations
                changed += before.count { now[$0.key] != nil && now[$0.key] != $0.value }
                spared += before.count { now[$0.key] == $0.value }
            }
        }
        #expect(changed > 10 && spared > 10, "\(changed) endpoints were judged again, \(spared) were not")
    }

    /// A cluster with a class for each pod, its maps, and the endpoints of this node.
    private static func teams(_ namespaces: Int) -> (TeamCluster, Rig) {
        let cluster = TeamCluster(namespaces: namespaces, role: "client")
        var rig = Rig()
        rig.tables.apply(cluster.everything().map(DatapathEdit.policy))
        for (number, pod) in cluster.localPods.enumerated() {
            let spec = EndpointSpec(
                pod: pod.key, uid: "a", addresses: [pod.address], interface: UInt32(100 + number), mac: nil,
                hostMAC: MACAddress(bits: 0xee), canRedirect: true)
            rig.tables.apply([.endpoint(.upsert(spec))])
        }
        _ = rig.settle()
        return (cluster, rig)
    }

    @Test("A label looks at as few entries among 50,000 pods as among 2,000, and has one endpoint judged again")
    func label() {
        let costs = [20, 500].map { namespaces in
            var (cluster, rig) = Self.teams(namespaces)
            #expect(rig.tables.policies.classes.entries.count >= namespaces * 100, "every pod has a class")
            return ["other", "client"].map { role in
                let (looked, before) = (rig.tables.entriesLookedAt, rig.tables.endpoints.records)
                rig.tables.apply(cluster.change(role: role).edits.map(DatapathEdit.policy))
                _ = rig.settle()
                let again = rig.tables.endpoints.records.filter {
                    $0.value.actual?.generation != before[$0.key]?.actual?.generation
                }
                // Of the ten policies of this node one admits clients of that team.
                #expect(again.count == 1)
                return rig.tables.entriesLookedAt - looked
            }
        }
        #expect(costs[0] == costs[1] && costs[1].allSatisfy { (1...40).contains($0) }, "\(costs)")
    }

    private func isJudgedAgain(_ inputs: [PolicyInput], from start: [PolicyInput]) -> Bool {
        var world = PolicyWorld()
        var rig = Rig()
        rig.tables.apply(world.apply(start) + [.endpoint(.upsert(endpoint(1)))])
        _ = rig.settle()
        let before = rig.kernel.endpoint(1)?.generation
        rig.tables.apply(world.apply(inputs))
        _ = rig.settle()
        return rig.kernel.endpoint(1)?.generation != before
    }

    private static func block(_ number: Int, _ text: String) -> PolicyInput {
        .policy(
            NetworkPolicyObject(
                namespace: "shop", name: "n\(number)", podSelector: LabelSelector(matchLabels: ["color": "red"]),
                ingress: [PolicyRule(peers: [.block(CIDR(text)!, except: [])])]))
    }

    @Test("A pod that comes and goes within a block is another peer than the block")
    func fallback() {
        let start = [
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.pod(2, labels: ["color": "green"]),
            PolicyWorld.policy(1, to: "red", from: "green", port: 80), Self.block(2, "10.1.0.0/24"),
            PolicyWorld.policy(3, to: "green", from: "blue", port: 80),
        ]
        #expect(isJudgedAgain([.podRemoved(pod(2))], from: start))
        let blue = PolicyWorld.pod(3, labels: ["color": "blue"], isLocal: false)
        #expect(!isJudgedAgain([blue], from: start.filter { $0.policy?.name != "n2" }), "of a policy of another pod")
    }

    @Test("The node's own addresses concern every endpoint with a policy")
    func ownNode() {
        let start = [
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.policy(1, to: "red", from: "x", port: 80),
        ]
        #expect(isJudgedAgain([.node("node-1", addresses: [address("10.9.0.2")])], from: start))
    }
}
