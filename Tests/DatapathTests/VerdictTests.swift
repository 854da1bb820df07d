import Addressing
import BPF
import DatapathABI
import Foundation
import LinuxKernel
import NetworkPolicy
import PolicyGenerators
import Testing

@testable import Datapath

@Suite("Verdicts read from the maps") struct VerdictTests {
    @Test("They are the oracle's, by the same rule, for random clusters and packets", arguments: [1, 2] as [UInt64])
    func agreement(seed: UInt64) throws {
        let node = try VerdictNode(seed: seed)
        var reasons: [String: Int] = [:]
        for _ in 0..<25 {
            try node.change(4)
            let reader = try DatapathReader(bpffs: node.root)
            for _ in 0..<80 {
                guard let query = node.generator.query(), let pod = node.endpoints[query.endpoint],
                    let own = pod.addresses.first(where: { $0.isIPv4 == query.peer.isIPv4 })
                else { continue }
                var question = VerdictQuestion(
                    endpoint: own, direction: query.direction == .ingress ? .ingress : .egress, peer: query.peer,
                    ipProtocol: query.ipProtocol, port: query.port, isReceived: query.isReceived)
                let explanation = node.oracle.explain(query)
                if query.peerNames.count == 1, try !node.holds(query) {
                    question.assumedName = query.peerNames.first
                    let assumed = try #require(try reader.verdict(question))
                    #expect(assumed.isAllowed == explanation.isAllowed, "\(query): \(assumed), \(explanation)")
                    #expect(Self.deciding(assumed) == Self.deciding(explanation) && assumed.names.isEmpty)
                    reasons["assumed", default: 0] += 1
                    question.assumedName = nil
                }
                try node.learn(query)
                let verdict = try #require(try reader.verdict(question))
                reasons["\(verdict.reason)", default: 0] += 1
                if !verdict.names.isEmpty { reasons["names", default: 0] += 1 }
                #expect(verdict.isAllowed == explanation.isAllowed, "\(query): \(verdict), \(explanation)")
                #expect(query.peerNames.isSuperset(of: verdict.names.map(\.name)))
                #expect(
                    Self.deciding(verdict) == Self.deciding(explanation), "\(query): \(verdict), \(explanation)")
            }
        }
        // A test that only meets open pods would prove little.
        for reason in ["rule", "isolation", "nothing", "localNode", "names", "assumed"] {
            #expect(reasons[reason, default: 0] > 3, "\(reasons)")
        }
    }

    @Test("An address that no endpoint has gets no verdict, and one without a policy is open")
    func unknown() throws {
        let world = try ReaderWorld()
        let reader = try world.reader()
        func question(_ endpoint: String, _ direction: TrafficDirection) throws -> VerdictQuestion {
            VerdictQuestion(
                endpoint: try #require(IPAddress(endpoint)), direction: direction,
                peer: try #require(IPAddress("192.0.2.1")), ipProtocol: .tcp, port: 80)
        }
        #expect(try reader.verdict(question("10.1.0.99", .ingress)) == nil)
        try world.maps.write(.endpointAddresses, bytes: try #require(IPAddress("10.1.0.1")).key, Bytes(of: UInt32(3)))
        let open = try #require(try reader.verdict(question("10.1.0.1", .egress)))
        #expect(open.policy == nil && open.isAllowed && open.reason == .nothing)
        // Its peers and ports admit nothing, and the policy isolates.
        let isolated = try #require(try reader.verdict(question("10.1.0.1", .ingress)))
        #expect(!isolated.isAllowed && isolated.reason == .isolation)
        #expect(isolated.isolationText == "NetworkPolicy/shop/web/ingress/isolation")
        #expect(isolated.rules.map(\.rule.index) == [0, 1, 2], "baseline is not asked")
        try world.maps.remove(.policyPages, apus_policy_page_key(policy: 0xc0ffee, page: 1))
        let unasked = try #require(try reader.verdict(question("10.1.0.1", .ingress)))
        #expect(!unasked.isAllowed && unasked.reason == .isolation, "no rule of that page can match")
        try world.maps.remove(.policyPages, apus_policy_page_key(policy: 0xc0ffee, page: 0))
        let missing = try #require(try reader.verdict(question("10.1.0.1", .ingress)))
        #expect(!missing.isAllowed && missing.reason == .missing)
    }

    /// What decided as text.
    private static func deciding(_ verdict: PolicyVerdict) -> String {
        switch verdict.reason {
        case .rule: verdict.rules.last?.rule.text?.replacing("//", with: "/") ?? "a rule without a name"
        case .isolation: "isolation"
        case .missing, .tooLong: "\(verdict.reason)"
        case .ownTraffic, .localNode, .nothing: "\(verdict.reason)"
        }
    }

    private static func deciding(_ explanation: Explanation) -> String {
        switch explanation.reason {
        case .rule(let origin): origin.description
        case .isolation: "isolation"
        case .ownTraffic, .localNode, .nothing: "\(explanation.reason)"
        }
    }
}

/// A random cluster in pinned maps and in the oracle.
private final class VerdictNode {
    let root: String
    var generator: ClusterGenerator
    private(set) var oracle = PolicyOracle(node: ClusterGenerator.node)
    private(set) var endpoints: [PodKey: PolicyPod] = [:]
    private var compiler = PolicyCompiler(node: ClusterGenerator.node)
    private let kernel: DatapathKernel
    private var tables: DatapathTables
    private var now: UInt64 = 1

    init(seed: UInt64) throws {
        root = "/tmp/apus-verdicts-\(ProcessInfo.processInfo.processIdentifier)-\(seed)"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try BPFFileSystem.mount(at: root)
        var shape = ClusterShape()
        shape.includesSharedAddresses = false
        generator = ClusterGenerator(seed: seed, shape: shape)
        let capacities = TableCapacities(endpoints: 64, services: 64, slots: 64, backends: 64)
        kernel = try DatapathKernel(DatapathOptions(bpffs: root, capacities: capacities))
        tables = DatapathTables(node: ClusterGenerator.node, startedAt: 1, capacities: capacities, grace: 1)
        try apply(generator.fill())
        try kernel.activate()
    }

    deinit {
        try? BPFFileSystem.unmount(root)
        try? FileManager.default.removeItem(atPath: root)
    }

    /// Has the maps hold the names of the peer, and one that has ended, for the policy of the pod's egress.
    func learn(_ query: PolicyQuery) throws {
        guard query.direction == .egress, let policy = tables.policies(of: query.endpoint)?.egress, policy != .none
        else {
            return
        }
        let maps = PinDirectory(root: root)
        let addresses = try BPFMap.open(pinned: maps.map("learned_addresses"))
        let names = try BPFMap.open(pinned: maps.map("learned_names"))
        let key = apus_learned_key(address: apus_address(query.peer), policy: policy.rawValue, part: 0)
        var value = apus_learned_address()
        value.learned =
            query.peerNames.map { apus_learned_use(name: Self.key(of: $0), end_ns: .max) }
            + [apus_learned_use(name: Self.key(of: "ended.example.com"), end_ns: 1)]
        try addresses.update(key, value)
        for name in query.peerNames {
            var record = apus_learned_name()
            record.set = tables.domains.program?.set(matching: name.utf8) ?? 0
            record.length = UInt32(name.utf8.count)
            withUnsafeMutableBytes(of: &record.text) { $0.copyBytes(from: name.utf8) }
            try names.update(Self.key(of: name), record)
        }
    }

    /// What a name is held under: any number that is its own.
    private static func key(of name: String) -> UInt64 { UInt64(bitPattern: Int64(name.hashValue)) | 1 }

    /// Whether the maps hold anything of the peer for the policy of the pod's egress.
    func holds(_ query: PolicyQuery) throws -> Bool {
        guard let policy = tables.policies(of: query.endpoint)?.egress else { return false }
        let addresses = try BPFMap.open(pinned: PinDirectory(root: root).map("learned_addresses"))
        let key = apus_learned_key(address: apus_address(query.peer), policy: policy.rawValue, part: 0)
        return try addresses.lookup(key, as: apus_learned_address.self) != nil
    }

    func change(_ count: Int) throws { try apply((0..<count).map { _ in generator.change() }) }

    private func apply(_ inputs: [PolicyInput]) throws {
        for input in inputs { oracle.apply(input) }
        tables.apply(compiler.apply(inputs).map(DatapathEdit.policy))
        let wanted = Dictionary(uniqueKeysWithValues: oracle.endpoints.map { ($0.key, $0) })
        for key in endpoints.keys where wanted[key] == nil { tables.apply([.endpoint(.remove(key))]) }
        for (index, pod) in wanted.values.sorted(by: { $0.key < $1.key }).enumerated() {
            let spec = EndpointSpec(
                pod: pod.key, uid: "u", addresses: pod.addresses, interface: UInt32(100 + index), mac: nil,
                hostMAC: MACAddress(bits: 0xee), canRedirect: true)
            tables.apply([.endpoint(.upsert(spec))])
        }
        endpoints = wanted
        for _ in 0..<3 {
            now += 1 << 32
            let report = kernel.program(&tables, now: now)
            try #require(report.problems.isEmpty, "\(report.problems)")
        }
    }
}
