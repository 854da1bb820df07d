internal import Addressing
internal import NetworkPolicy
internal import PolicyGenerators
internal import TestSupport
internal import Testing

/// What became of a change that was watched.
struct WatchedChange {
    /// Openings that the policies before and after agree about, and their verdict.
    var steady: [(opening: PolicyOpening, isAllowed: Bool)] = []
    var writes = 0
    var judged = 0
    var faults: [String] = []
}

/// What both ends of an opening say, and which pods of this node they are.
struct OpeningOutcome: Equatable {
    let pods: [PolicyPod?]
    let isAllowed: Bool

    static func == (left: Self, right: Self) -> Bool {
        left.isAllowed == right.isAllowed && left.pods.map(\.?.key) == right.pods.map(\.?.key)
            && left.pods.map(\.?.addresses) == right.pods.map(\.?.addresses)
    }
}

extension PolicyOracle {
    /// Nil when no pod of this node is concerned.
    ///
    /// - Parameter names: Those of the destination, for the sender's policy.
    func outcome(of opening: PolicyOpening, _ names: Set<String> = []) -> OpeningOutcome? {
        let (source, destination) = (opening.source.address, opening.destination.address)
        let pods = [source, destination].map { address in endpoints.first { $0.addresses.contains(address) } }
        guard pods.contains(where: { $0 != nil }) else { return nil }
        let explanations = explain(
            from: source, to: destination, ipProtocol: opening.ipProtocol, port: opening.destination.port,
            isReceived: opening.isReceived, peerNames: names)
        return OpeningOutcome(pods: pods, isAllowed: explanations.allSatisfy(\.isAllowed))
    }
}

extension PolicyOpening {
    /// The same from another port.
    init(renewing opening: PolicyOpening, from port: Port) {
        self.init(
            source: SocketAddress(opening.source.address, port), destination: opening.destination,
            ipProtocol: opening.ipProtocol, isReceived: opening.isReceived)
    }
}

@Suite("A change of policies comes into force as a whole")
struct WholeChangeTests {
    private static let seeds = withFreshSeed(Array(1...5), of: "WholeChangeTests")

    @Test("After each single write nothing is judged otherwise than before and after the change", arguments: seeds)
    func randomChanges(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &* 3000)
        var (judged, denied) = (0, 0)
        for _ in 0..<2 {
            let clusterSeed = random.next()
            let cluster = try RandomCluster(seed: clusterSeed, isLong: false, isShipped: true)
            for step in 0..<14 {
                let openings = (0..<20).compactMap { _ in cluster.opening() }
                let change = try cluster.change(Int.random(in: 1...2, using: &random), watching: openings)
                try #require(
                    change.faults.isEmpty, "seed \(seed), cluster \(clusterSeed), step \(step): \(change.faults[0])")
                judged += change.judged
                denied += change.steady.count { !$0.isAllowed }
            }
        }
        #expect(judged > 1000 && denied > 20, "\(judged) judged, \(denied) were denied")
    }

    // MARK: The cases that a review has found

    private static func pod(_ namespace: String, _ number: Int) -> PolicyPod {
        PolicyPod(
            key: PodKey(namespace: namespace, name: "p\(number)"), labels: [:], addresses: [address(number)],
            node: ClusterGenerator.node)
    }

    private static func address(_ number: Int) -> IPAddress { IPAddress(v4: 0x0af4_0100 + UInt32(number)) }

    private static func opening(from port: Port) -> PolicyOpening {
        PolicyOpening(
            source: SocketAddress(address(1), port), destination: SocketAddress(address(2), 80), ipProtocol: .tcp)
    }

    @Test("Isolation that goes over from egress to ingress never lets anything pass between two pods of it")
    func isolationTurns() throws {
        let policy = { (types: Set<PolicyDirection>) in
            PolicyInput.policy(NetworkPolicyObject(namespace: "x", name: "p", policyTypes: types))
        }
        let cluster = try WatchedCluster([
            .namespace("x", labels: [:]), .pod(Self.pod("x", 1)), .pod(Self.pod("x", 2)), policy([.egress]),
        ])
        let passed = try cluster.change([policy([.ingress])], opening: Self.opening)
        #expect(passed.count > 2 && !passed.contains(true), "\(passed)")
        let back = try cluster.change([policy([.egress])], opening: Self.opening)
        #expect(back.count > 2 && !back.contains(true), "\(back)")
    }

    /// Has the pods of a tenant talk to each other only, or only not to each other.
    private static func tenant(_ name: String, isApart: Bool) -> PolicyInput {
        let own = LabelSelector(matchLabels: ["tenant": name])
        let peers = PolicyPeer.pods(namespaceSelector: own, podSelector: .everything)
        let all = PolicyPeer.pods(namespaceSelector: .everything, podSelector: .everything)
        let rules = [
            ClusterPolicyRule(action: isApart ? .deny : .allow, peers: [peers]),
            ClusterPolicyRule(action: isApart ? .allow : .deny, peers: [all]),
        ]
        return .clusterPolicy(
            ClusterPolicyObject(
                name: "iso-\(name)", tier: .admin, priority: 1, namespaceSelector: own, ingress: rules))
    }

    @Test(
        "A namespace that goes over to another tenant is never cut off from itself, nor open to itself where it never is",
        arguments: [false, true])
    func namespaceTurns(isApart: Bool) throws {
        let label = { (tenant: String) in PolicyInput.namespace("x", labels: ["tenant": tenant]) }
        let cluster = try WatchedCluster([
            label("a"), .pod(Self.pod("x", 1)), .pod(Self.pod("x", 2)), Self.tenant("a", isApart: isApart),
            Self.tenant("b", isApart: isApart),
        ])
        for tenant in ["b", "a"] {
            let passed = try cluster.change([label(tenant)], opening: Self.opening)
            #expect(passed.count > 2 && !passed.contains(isApart), "to \(tenant): \(passed)")
        }
    }
}

/// A few pods of this node, as the agent programs them.
private final class WatchedCluster {
    private let datapath: DatapathFixture
    private var tables: ShippedMaps
    private var compiler = PolicyCompiler(node: ClusterGenerator.node)
    private var oracle = PolicyOracle(node: ClusterGenerator.node)
    private var pods: [PodKey: Pod] = [:]
    private var port: Port = 20_000

    init(_ inputs: [PolicyInput]) throws {
        datapath = try DatapathFixture()
        tables = ShippedMaps(datapath)
        try apply(inputs)
    }

    private func apply(_ inputs: [PolicyInput]) throws {
        for input in inputs { oracle.apply(input) }
        pods = try tables.apply(compiler.apply(inputs), oracle.endpoints)
    }

    /// Whether an opening passes after each write of a change.
    func change(_ inputs: [PolicyInput], opening: @escaping (Port) -> PolicyOpening) throws -> [Bool] {
        var passed: [Bool] = []
        tables.afterWrite = { [unowned self] in
            port += 1
            let new = opening(port)
            guard let pod = pods.values.first(where: { $0.addresses.contains(new.source.address) }),
                let verdict = try? datapath.verdict(new.packet(pod.frame()).bytes, on: .fromPod(pod))
            else { return }
            passed.append(verdict != Verdict.drop)
        }
        defer { tables.afterWrite = nil }
        try apply(inputs)
        return passed
    }
}
