import Addressing
@testable import Agent
@testable import Datapath
import Foundation
import Kubernetes
import PolicyGenerators
import Testing

/// The whole way from manifests to maps, without a kernel: the order of the changes must not matter in the end.
@Suite struct ManifestOrderTests {
    @Test("Single changes in random order lead to the maps that a start from scratch makes", arguments: 1...40)
    func order(seed: UInt64) throws {
        var walk = try ManifestWalk(seed: seed)
        walk.wander { _ in false }
        try walk.expectFreshMaps("seed \(seed)")
    }

    @Test("They do so with a tenth of all map writes failing on the way", arguments: 1...40)
    func faults(seed: UInt64) throws {
        var random = RandomSource(seed: seed &+ 1000)
        var walk = try ManifestWalk(seed: seed)
        walk.wander { _ in random.next() % 10 == 0 }
        try walk.expectFreshMaps("seed \(seed)")
    }

    @Test("A restart in the middle changes nothing in the end", arguments: 1...20)
    func restart(seed: UInt64) throws {
        var walk = try ManifestWalk(seed: seed)
        walk.wander(steps: 60) { _ in false }
        try walk.restart()
        try walk.expectFreshMaps("seed \(seed), right after the restart")
        walk.wander(steps: 60) { _ in false }
        try walk.expectFreshMaps("seed \(seed)")
    }
}

/// A cluster made of the shop's manifests that is built by single changes, with detours.
private struct ManifestWalk {
    private let wanted: [KubernetesObject]
    private var random: RandomSource
    private var state = ClusterState(node: "node-a")
    private var rig = Rig()
    private var present: [ObjectKey: KubernetesObject] = [:]

    init(seed: UInt64) throws {
        random = RandomSource(seed: seed)
        wanted = try Self.shop()
        rig.tables = Self.tables()
    }

    private static func tables() -> DatapathTables {
        DatapathTables(node: "node-a", startedAt: 1, capacities: .small, grace: 10)
    }

    /// The objects of `examples/shop`.
    private static func shop() throws -> [KubernetesObject] {
        let root = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        let directory = root.appendingPathComponent("examples/shop").path
        return try FileManager.default.contentsOfDirectory(atPath: directory).sorted().flatMap { name in
            guard name.hasSuffix(".yaml") else { return [KubernetesObject]() }
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")))
            let manifest = Manifest(source: name, bytes: bytes)
            #expect(manifest.diagnostics.isEmpty)
            return manifest.objects
        }
    }

    /// Makes random changes, then brings everything to what is wanted, one object after the other.
    mutating func wander(steps: Int = 120, fails: @escaping (DatapathTable) -> Bool) {
        rig.kernel.fails = fails
        rig.kernel.failsNames = { fails(.names) }
        for _ in 0..<steps { change() }
        for object in wanted.shuffled(using: &random) { apply(.upsert(object)) }
        // Writes go on to fail: what failed is tried again until nothing is left to write.
        var report = rig.program(after: 10)
        for _ in 0..<400 { report = rig.program(after: 10) }
        #expect(report.isComplete, "\(report.problems)")
        rig.kernel.fails = { _ in false }
        rig.kernel.failsNames = { false }
    }

    private mutating func change() {
        guard let object = wanted.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: apply(.delete(object.key))
        case 1: apply(.upsert(changed(object)))
        default: apply(.upsert(object))
        }
        if Bool.random(using: &random) { rig.program(after: UInt64.random(in: 0...20, using: &random)) }
    }

    /// Another state of the object, as an edit of its manifest would make it.
    private mutating func changed(_ object: KubernetesObject) -> KubernetesObject {
        switch object {
        case .pod(var pod):
            pod.meta.labels =
                Bool.random(using: &random) ? [:] : ["role": "customer", "app": "web", "tier": "frontend"]
            if Bool.random(using: &random) { pod.meta.uid += "-again" }
            return .pod(pod)
        case .namespace(var namespace):
            namespace.meta.labels["kubernetes.io/metadata.name"] = "elsewhere"
            return .namespace(namespace)
        case .endpointSlice(var slice):
            slice.endpoints = Array(slice.endpoints.dropFirst(Int.random(in: 0...2, using: &random)))
            return .endpointSlice(slice)
        case .networkPolicy(var policy):
            policy.podSelector.matchLabels = Bool.random(using: &random) ? ["app": "db"] : [:]
            let operation = LabelRequirement.Operator.allCases.randomElement(using: &random) ?? .in
            let values = [.in, .notIn].contains(operation) ? ["frontend", "customer"] : []
            policy.podSelector.matchExpressions =
                Bool.random(using: &random) ? [LabelRequirement(key: "tier", operator: operation, values: values)] : []
            return .networkPolicy(policy)
        case .service(var service):
            switch Int.random(in: 0..<4, using: &random) {
            case 0: service.ports = service.ports.dropLast()
            case 1: service.sessionAffinity = .clientIP(timeoutSeconds: 600)
            case 2: service.ports = []
            default: service.internalTrafficPolicy = .local
            }
            return .service(service)
        default: return object
        }
    }

    private mutating func apply(_ change: ObjectChange) {
        switch change {
        case .upsert(let object): present[object.key] = object
        case .delete(let key): present[key] = nil
        }
        Self.take([change], &state, &rig.tables)
    }

    /// What the controller does with a change, with an interface for every pod.
    private static func take(_ changes: [ObjectChange], _ state: inout ClusterState, _ tables: inout DatapathTables) {
        let outcome = state.apply(changes)
        tables.apply(outcome.edits)
        for key in outcome.changedPods.sorted() {
            guard let pod = state.localPods[key] else {
                tables.apply([.endpoint(.remove(key))])
                continue
            }
            let last = UInt32(truncatingIfNeeded: pod.addresses.first?.low ?? 0)
            tables.apply([
                .endpoint(
                    .upsert(
                        EndpointSpec(
                            pod: key, uid: pod.uid, addresses: pod.addresses, interface: last & 0xff,
                            mac: MACAddress(bits: UInt64(last)), hostMAC: MACAddress(bits: 0xee), canRedirect: true)))
            ])
        }
    }

    /// The agent starts again over the same maps: everything comes at once, then what is stale goes.
    mutating func restart() throws {
        state = ClusterState(node: "node-a")
        rig.tables = Self.tables()
        try rig.tables.adopt(rig.kernel)
        Self.take(present.values.map { .upsert($0) }.shuffled(using: &random), &state, &rig.tables)
        rig.tables.removeStale()
        #expect(rig.settle().isComplete)
    }

    /// Compares the maps with those of a start from scratch.
    func expectFreshMaps(_ comment: Comment) throws {
        var state = ClusterState(node: "node-a")
        var fresh = Rig()
        fresh.tables = Self.tables()
        Self.take(present.values.sorted { "\($0.key)" < "\($1.key)" }.map { .upsert($0) }, &state, &fresh.tables)
        #expect(fresh.settle().isComplete)
        #expect(ResolvedMaps(rig.kernel).differences(from: ResolvedMaps(fresh.kernel)) == [], comment)
        #expect(try rig.tables.verify(rig.kernel).isEmpty, comment)
        #expect(!ResolvedMaps(rig.kernel).endpoints.isEmpty && !ResolvedMaps(rig.kernel).services.isEmpty)
    }
}
