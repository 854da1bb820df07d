internal import Addressing
internal import NetworkPolicy
internal import PolicyGenerators
import Testing

@Suite("Random clusters, changes and packets")
struct RandomPolicyTests {
    private static let seeds: [UInt64] = Array(1...8)
    private static var shape: ClusterShape {
        var shape = ClusterShape()
        shape.includesResolvers = true
        return shape
    }

    /// Whether the model and the oracle agree on the verdict and on what decided.
    private func agree(_ decision: KernelModel.Decision, _ explanation: Explanation) -> Bool {
        agree(decision, explanation.reason) && decision.isAllowed == explanation.isAllowed
    }

    private func agree(_ decision: KernelModel.Decision, _ reason: Explanation.Reason) -> Bool {
        switch (decision, reason) {
        case (.always, .ownTraffic), (.always, .localNode), (.open, .nothing): true
        // The oracle tells of the rule alone, not of its object's age and fields.
        case (.rule(let origin, _), .rule(let expected)): origin.description == expected.description
        case (.isolated(let names), .isolation(let expected)): names == expected
        default: false
        }
    }

    /// Fills a cluster and compares tables and oracle on packets; returns how many.
    private func compare(_ clusterSeed: UInt64, _ shape: ClusterShape, packets: Int) throws -> Int {
        var generator = ClusterGenerator(seed: clusterSeed, shape: shape)
        var compiler = PolicyCompiler(node: ClusterGenerator.node)
        var oracle = PolicyOracle(node: ClusterGenerator.node)
        var model = KernelModel()
        let inputs = generator.fill()
        for input in inputs { oracle.apply(input) }
        for edit in compiler.apply(inputs) {
            let problem = model.apply(edit)
            try #require(problem == nil, "cluster \(clusterSeed): \(edit)")
        }
        for judged in 0..<packets {
            guard let query = generator.query() else { return judged }
            let decision = model.judge(query, addresses: generator.pods[query.endpoint]?.addresses ?? [])
            let expected = oracle.explain(query)
            try #require(
                agree(decision, expected), "cluster \(clusterSeed): \(query): \(decision), oracle: \(expected)")
            let audit = model.audit(query, addresses: generator.pods[query.endpoint]?.addresses ?? [])
            let isAuditSame =
                if let audit, let reason = expected.audited { agree(audit, reason) } else {
                    audit == nil && expected.audited == nil
                }
            try #require(
                isAuditSame,
                "cluster \(clusterSeed): \(query): would be \(String(describing: audit)), oracle: \(expected)")
        }
        return packets
    }

    @Test("The compiled tables and the oracle agree on 100,000 packets")
    func tablesAgreeWithOracle() throws {
        var seeds = RandomSource(seed: 20_260_101)
        var judged = 0
        while judged < 100_000 { judged += try compare(seeds.next(), Self.shape, packets: 55) }
    }

    @Test("They agree on policies of several pages")
    func longPoliciesAgreeWithOracle() throws {
        var shape = Self.shape
        shape.fillerRules = 250
        var seeds = RandomSource(seed: 4)
        var judged = 0
        while judged < 3_000 { judged += try compare(seeds.next(), shape, packets: 200) }
    }

    @Test("The sum of single changes is what compiling from scratch gives, in any order", arguments: seeds)
    func incrementalEqualsFromScratch(seed: UInt64) throws {
        for sequence in 0..<8 {
            var generator = ClusterGenerator(seed: seed &* 1000 &+ UInt64(sequence), shape: Self.shape)
            var compiler = PolicyCompiler(node: ClusterGenerator.node)
            var model = KernelModel()
            func run(_ edits: [PolicyEdit], _ step: Int) throws {
                for edit in edits {
                    let problem = model.apply(edit)
                    try #require(problem == nil, "seed \(seed), sequence \(sequence), step \(step): \(edit)")
                }
            }
            try run(compiler.apply(generator.fill()), -1)
            for step in 0..<40 {
                let batch = (0...generator.random.next() % 8 / 6).map { _ in generator.change() }
                try run(compiler.apply(batch), step)
                let shuffled = generator.objects.shuffled(using: &generator.random)
                var fresh = PolicyCompiler(node: ClusterGenerator.node)
                if step % 4 == 0 { for input in shuffled { _ = fresh.apply(input) } } else { _ = fresh.apply(shuffled) }
                var expected = KernelModel()
                for edit in fresh.everything() { _ = expected.apply(edit) }
                let place = "seed \(seed), sequence \(sequence), step \(step) after \(batch)"
                let differences = model.differences(from: expected)
                try #require(differences == [], "\(place)")
                let isDumpSame = compiler.everything() == fresh.everything()
                try #require(isDumpSame, "\(place)")
                try #require(compiler.problems == fresh.problems, "\(place)")
            }
        }
    }

    @Test("No packet whose verdict stays is judged otherwise between the edits of a change", arguments: seeds)
    func changesAreNeverHalfInForce(seed: UInt64) throws {
        var shape = Self.shape
        // What denies can't be kept whole by an order of edits: WholeChangeTests judge what really comes into force, at
        // both ends, with these policies, too.
        shape.clusterPolicies = 0
        for sequence in 0..<6 {
            var generator = ClusterGenerator(seed: seed &* 2000 &+ UInt64(sequence), shape: shape)
            var compiler = PolicyCompiler(node: ClusterGenerator.node)
            var model = KernelModel()
            for edit in compiler.apply(generator.fill()) { _ = model.apply(edit) }
            for step in 0..<40 {
                let queries = (0..<40).compactMap { _ in generator.query() }
                let podsBefore = generator.pods
                let change = generator.change()
                let edits = compiler.apply(change)
                var after = model
                for edit in edits { _ = after.apply(edit) }
                func addresses(_ key: PodKey) -> [IPAddress] { podsBefore[key]?.addresses ?? [] }
                let steady = queries.filter { query in
                    let isSamePod = podsBefore[query.endpoint] == generator.pods[query.endpoint]
                    let before = model.judge(query, addresses: addresses(query.endpoint))
                    let later = after.judge(query, addresses: addresses(query.endpoint))
                    return isSamePod && before.isAllowed == later.isAllowed
                }
                let expected = steady.map { model.judge($0, addresses: addresses($0.endpoint)).isAllowed }
                for edit in edits {
                    _ = model.apply(edit)
                    let found = steady.map { model.judge($0, addresses: addresses($0.endpoint)).isAllowed }
                    try #require(
                        expected == found, "seed \(seed), sequence \(sequence), step \(step): \(change) at \(edit)")
                }
            }
        }
    }
}
