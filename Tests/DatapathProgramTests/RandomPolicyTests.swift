internal import Addressing
internal import BPF
internal import DatapathABI
internal import FoundationEssentials
internal import NetworkPolicy
internal import PolicyGenerators
internal import TestSupport
internal import Testing

/// A random cluster: its policies in the kernel's maps and in the oracle, and its pods of this node as endpoints.
final class RandomCluster {
    let datapath: DatapathFixture
    private var generator: ClusterGenerator
    private var compiler = PolicyCompiler(node: ClusterGenerator.node)
    private var oracle = PolicyOracle(node: ClusterGenerator.node)
    private var tables: any RandomClusterMaps
    private var pods: [PodKey: Pod] = [:]
    private var sourcePort: Port = 1023
    private var watched = WatchedChange()
    /// The names that an address has for everybody who may learn them.
    private var names: [IPAddress: Set<String>] = [:]

    /// Openings that a policy of several pages judged, and those that a rule beyond its first page decided.
    private(set) var judgedByPages = 0
    private(set) var decidedByLaterPages = 0
    /// Openings that a rule with names decided, to an address that has names.
    private(set) var decidedByNames = 0

    /// - Parameters:
    ///   - isLong: Whether many rules that no packet matches lie around the others.
    ///   - isShipped: Whether the agent's tables write the maps, and not the tests' own encoder.
    init(seed: UInt64, isLong: Bool, isShipped: Bool) throws {
        // Every packet tells of itself, denied ones too.
        datapath = try DatapathFixture { $0.denial_interval_ns = 0 }
        var shape = ClusterShape()
        shape.includesSharedAddresses = false
        // The tests' own encoder knows no names.
        shape.includesNames = isShipped
        if isLong { shape.fillerRules = 400 }
        generator = ClusterGenerator(seed: seed, shape: shape)
        tables = isShipped ? ShippedMaps(datapath) : EncodedMaps(datapath)
        try apply(generator.fill())
    }

    /// Makes some changes, which every live connection is judged by again.
    func change(_ count: Int) throws { try apply((0..<count).map { _ in generator.change() }) }

    private func apply(_ inputs: [PolicyInput]) throws {
        for input in inputs { oracle.apply(input) }
        oracle.indexAddresses()
        pods = try tables.apply(compiler.apply(inputs), oracle.endpoints)
    }

    /// Makes some changes, and judges openings after every single write. What the policies before and after agree about
    /// must never be judged otherwise, as a new connection or, where it is allowed, as a live one.
    func change(_ count: Int, watching openings: [PolicyOpening]) throws -> WatchedChange {
        guard var shipped = tables as? ShippedMaps else { return WatchedChange() }
        let former = oracle
        let inputs = (0..<count).map { _ in generator.change() }
        for input in inputs { oracle.apply(input) }
        oracle.indexAddresses()
        watched = WatchedChange()
        for opening in openings {
            let names = try teach(opening)
            let (before, after) = (former.outcome(of: opening, names), oracle.outcome(of: opening, names))
            guard let before, before == after else { continue }
            watched.steady.append((opening, before.isAllowed))
            if before.isAllowed, try !send(opening) { watched.faults.append("\(opening) is not live") }
        }
        shipped.afterWrite = { [unowned self] in judgeWatched(inputs) }
        defer {
            shipped.afterWrite = nil
            tables = shipped
        }
        pods = try shipped.apply(compiler.apply(inputs), oracle.endpoints)
        return watched
    }

    private func judgeWatched(_ inputs: [PolicyInput]) {
        watched.writes += 1
        for (opening, isAllowed) in watched.steady {
            do {
                let passes = try send(PolicyOpening(renewing: opening, from: nextPort()))
                let lives = try !isAllowed || send(opening)
                watched.judged += 1
                if passes == isAllowed, lives { continue }
                watched.faults.append(
                    "\(opening): allowed: \(isAllowed), passes: \(passes), lives: \(lives) after write \(watched.writes) of \(inputs)"
                )
            } catch { watched.faults.append("\(error)") }
        }
    }

    private func nextPort() -> Port {
        sourcePort = sourcePort == .max ? 1024 : sourcePort + 1
        return sourcePort
    }

    /// The pod of this node that has an address.
    private func local(_ address: IPAddress) -> Pod? {
        pods.values.first { $0.addresses.contains(address) }
    }
}

/// The opening of a connection.
struct PolicyOpening {
    let source: SocketAddress
    let destination: SocketAddress
    let ipProtocol: IPProtocol
    /// Whether it comes in by an interface of the node, where it does not come from a pod of its own.
    var isReceived = false

    func packet(_ frame: Packet) -> Packet {
        let start = frame.ip(from: source.address, to: destination.address)
        return switch ipProtocol {
        case .tcp: start.tcp(from: source.port, to: destination.port, flags: .syn)
        case .udp: start.udp(from: source.port, to: destination.port)
        case .sctp: start.sctp(from: source.port, to: destination.port)
        default: start.echo(identifier: source.port)
        }
    }
}

extension RandomCluster {
    /// A random opening, from a port that no other one had.
    func opening() -> PolicyOpening? {
        guard let query = generator.query(), let pod = pods[query.endpoint] else { return nil }
        if query.direction == .egress, names[query.peer] == nil { names[query.peer] = query.peerNames }
        guard let own = pod.addresses.first(where: { $0.isIPv4 == query.peer.isIPv4 }) else { return nil }
        var ipProtocol = query.ipProtocol
        if !ipProtocol.hasPorts { ipProtocol = own.isIPv4 ? .icmp : .icmpv6 }
        let ends = query.direction == .egress ? (own, query.peer) : (query.peer, own)
        return PolicyOpening(
            source: SocketAddress(ends.0, nextPort()), destination: SocketAddress(ends.1, query.port),
            ipProtocol: ipProtocol, isReceived: query.isReceived)
    }

    /// Where the kernel and the oracle differ about an opening; nil when they agree, or when no pod is concerned.
    ///
    /// - Parameter isNew: Whether the data path knows no connection of it, so that an event tells what decided.
    func difference(_ opening: PolicyOpening, isNew: Bool) throws -> String? {
        let (source, destination) = (opening.source.address, opening.destination.address)
        guard local(source) != nil || local(destination) != nil else { return nil }
        let explanations = oracle.explain(
            from: source, to: destination, ipProtocol: opening.ipProtocol, port: opening.destination.port,
            isReceived: opening.isReceived, peerNames: names[destination] ?? [])
        _ = try teach(opening)
        _ = datapath.events()
        let passes = try send(opening)
        let expected = explanations.allSatisfy(\.isAllowed)
        if passes != expected { return "\(opening): passes: \(passes), oracle: \(explanations)" }
        guard isNew, source != destination else { return nil }
        let events = datapath.events()
        guard let event = events.last(where: { $0.kind != .audited }) else { return "\(opening): no event" }
        countPages(event)
        if explanations.contains(where: { isDecidedByNames($0, names[destination] ?? []) }) { decidedByNames += 1 }
        // Whoever denies first is the one that is told of.
        let deciding = passes ? explanations : Array(explanations.filter { !$0.isAllowed }.prefix(1))
        for explanation in deciding {
            if !explains(event, explanation) {
                return
                    "\(opening): policies \(event.egress_policy), \(event.ingress_policy), rules \(event.egress_rule), "
                    + "\(event.ingress_rule), oracle: \(explanation)"
            }
        }
        return auditDifference(opening, events.filter { $0.kind == .audited }, passes ? explanations : [])
    }

    /// Has the sender's policy hold the names of the destination, as after an answer. Returns those that it holds then:
    /// nobody learns for a policy without names, so that one with names that comes after it knows none, either.
    private func teach(_ opening: PolicyOpening) throws -> Set<String> {
        let (source, destination) = (opening.source.address, opening.destination.address)
        guard let names = names[destination], !names.isEmpty, let maps = tables as? ShippedMaps,
            let sender = pods.first(where: { $0.value.addresses.contains(source) })?.key
        else { return [] }
        return try maps.learn(destination, names, for: sender) ? names : []
    }

    private func isDecidedByNames(_ explanation: Explanation, _ names: Set<String>) -> Bool {
        guard !names.isEmpty, case .rule = explanation.reason else { return false }
        return explanation.considered.last?.peers.contains { if case .domains = $0 { true } else { false } } ?? false
    }

    private func countPages(_ event: Event) {
        let verdicts = [(event.egress_policy, event.egress_rule), (event.ingress_policy, event.ingress_rule)]
        let rules = verdicts.map { tables.ruleCount($0.0) }
        if rules.contains(where: { $0 > PageBits.width }) { judgedByPages += 1 }
        let isLater = zip(verdicts, rules).contains { Int($0.1) >= PageBits.width && Int($0.1) < $1 }
        if isLater { decidedByLaterPages += 1 }
    }

    /// Of both ends the sender's egress is the one that would have denied.
    private func auditDifference(_ opening: PolicyOpening, _ events: [Event], _ explanations: [Explanation]) -> String?
    {
        let expected = explanations.lazy.compactMap(\.audited).first
        let isSame =
            switch expected {
            case nil: events.isEmpty
            case .rule(let origin)?:
                events.count == 1 && events[0].reason == .denied && decisions(events[0]).contains(origin.description)
            default:
                events.count == 1 && events[0].reason == .isolated
                    && [events[0].egress_rule, events[0].ingress_rule].contains(isolationRule)
            }
        if isSame { return nil }
        return "\(opening): audited \(events), oracle: \(explanations)"
    }

    private func decisions(_ event: Event) -> [String] {
        [(event.egress_policy, event.egress_rule), (event.ingress_policy, event.ingress_rule)]
            .compactMap { tables.origin($0.0, $0.1)?.description }
    }

    /// The packet's whole way: from the pod, and through the stack to the pod that it is for.
    private func send(_ opening: PolicyOpening) throws -> Bool {
        var verdict = Verdict.next
        var receiver = local(opening.destination.address)
        var frame = opening.packet(.ethernet(from: MACAddress(bits: 2), to: MACAddress(bits: 4))).bytes
        if let sender = local(opening.source.address) {
            frame = opening.packet(sender.frame()).bytes
            verdict = try datapath.verdict(frame, on: .fromPod(sender))
            if sender == receiver { receiver = nil }
        }
        if verdict == Verdict.next, let receiver {
            verdict = try datapath.verdict(frame, on: .toPod(receiver), isReceived: opening.isReceived)
        }
        return verdict != Verdict.drop
    }

    /// Whether one of the event's two verdicts is the explained one.
    private func explains(_ event: Event, _ explanation: Explanation) -> Bool {
        let verdicts = [(event.egress_policy, event.egress_rule), (event.ingress_policy, event.ingress_rule)]
        switch explanation.reason {
        case .rule(let origin): return decisions(event).contains(origin.description)
        case .isolation: return event.reason == .isolated && verdicts.contains { $0.1 == isolationRule }
        case .nothing, .localNode, .ownTraffic: return verdicts.contains { $0.1 == noRule }
        }
    }
}

@Suite("Random policies and packets, in the kernel and in the oracle")
struct RandomPolicyTests {
    private static let seeds = withFreshSeed(Array(1...7), of: "RandomPolicyTests")
    /// Openings to compare; `APUS_POLICY_OPENINGS` sets another number.
    private static let openings =
        ProcessInfo.processInfo.environment["APUS_POLICY_OPENINGS"].flatMap(Int.init) ?? 100_000

    @Test("They agree on the verdict and on the rule, of 100,000 openings", arguments: seeds)
    func openings(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var (cases, number, byPages, byLaterPages, byShippedPages, byNames) = (0, 0, 0, 0, 0, 0)
        while cases < Self.openings / Self.seeds.count {
            let clusterSeed = random.next()
            // Long lists take their time to write, so that more is opened where they are.
            let (isLong, isShipped) = (number.isMultiple(of: 4), !number.isMultiple(of: 3))
            number += 1
            let cluster = try RandomCluster(seed: clusterSeed, isLong: isLong, isShipped: isShipped)
            for step in 1...(isLong ? 750 : 250) {
                // What changes left behind or forgot shows in what is opened after them.
                if step.isMultiple(of: isLong ? 150 : 50) { try cluster.change(Int.random(in: 1...4, using: &random)) }
                guard let opening = cluster.opening() else { continue }
                let difference = try cluster.difference(opening, isNew: true)
                try #require(difference == nil, "seed \(seed), cluster \(clusterSeed), shipped: \(isShipped)")
                cases += 1
            }
            byPages += cluster.judgedByPages
            byLaterPages += cluster.decidedByLaterPages
            byNames += cluster.decidedByNames
            if isShipped { byShippedPages += cluster.judgedByPages }
        }
        let counts = "\(byPages), \(byLaterPages), \(byShippedPages), \(byNames) of \(cases)"
        #expect(byPages * 10 > cases && byLaterPages * 100 > cases && byShippedPages > 0, "\(counts)")
        #expect(byNames * 200 > cases, "\(counts)")
    }

    @Test("… and on live connections under changes of everything, as the agent puts them in force", arguments: seeds)
    func liveConnections(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &* 1000)
        for _ in 0..<8 {
            let clusterSeed = random.next()
            let isLong = random.next().isMultiple(of: 8)
            let cluster = try RandomCluster(seed: clusterSeed, isLong: isLong, isShipped: true)
            let openings = (0..<60).compactMap { _ in cluster.opening() }
            for step in 0..<12 {
                for opening in openings {
                    let difference = try cluster.difference(opening, isNew: false)
                    try #require(difference == nil, "seed \(seed), cluster \(clusterSeed), step \(step)")
                }
                try cluster.change(Int.random(in: 1...4, using: &random))
            }
        }
    }
}
