import Addressing
import Foundation
import Kubernetes
import LoadBalancing
import Testing

@testable import Agent

@Suite("Random Services, and the rules of kube-proxy")
struct ServiceModelTests {
    /// More for a longer search: in the environment, as is the seed of one that failed.
    private static let clusters = number("APUS_SERVICE_CLUSTERS") ?? 20_000
    private static let seed = UInt64(number("APUS_SERVICE_SEED") ?? 20_261_127)
    private static let parts = 8

    private static func number(_ variable: String) -> Int? {
        ProcessInfo.processInfo.environment[variable].flatMap { Int($0) }
    }

    @Test("The same backends serve every address, port and protocol in 20,000 clusters", arguments: 0..<parts)
    func sameBackends(part: Int) throws {
        var coverage = ServiceCoverage()
        for number in stride(from: part, to: Self.clusters, by: Self.parts) {
            var cluster = RandomCluster(seed: Self.seed &+ UInt64(number))
            for _ in 0..<3 {
                try cluster.compare(&coverage)
                cluster.change()
            }
        }
        print("Service clusters, seeds from \(Self.seed), part \(part) of \(Self.parts):")
        let counts = ServiceCoverage.Event.allCases.map { "\(coverage.counts[$0] ?? 0) \($0.rawValue)" }
        print("  \(counts.joined(separator: ", "))")
        // A field that makes no difference to any cluster would not be tested.
        if Self.clusters >= 1000 { #expect(coverage.missing.isEmpty) }
    }
}

extension RandomCluster {
    /// Clients in and out of the ranges that there are.
    private static let clients = [
        "192.0.2.9", "198.51.100.9", "203.0.113.9", "10.9.9.9", "2001:db8::9", "2001:db8:1::9", "fd00::9",
    ].compactMap { IPAddress($0) }

    private var failure: Comment { "APUS_SERVICE_SEED=\(seed) APUS_SERVICE_CLUSTERS=1 on \(model.node)" }

    /// Asks both for every address, port and protocol, and for clients everywhere.
    fileprivate func compare(_ coverage: inout ServiceCoverage) throws {
        let contest = contest
        let outcome = contest.outcome
        let programs = state.services.programs
        for (destination, offer) in outcome.offers {
            let program = try #require(programs[Frontend(destination)], "\(failure): \(destination)")
            try compare(program, offer, at: destination)
            try #require(FrontendKind(outcome.kinds[destination]!) == program.kind, "\(failure): \(destination)")
            let table = outcome.tables.contains(destination) ? Self.tableSize : nil
            try #require(program.maglevTableSize == table, "\(failure): the table of \(destination)")
            coverage.count(offer, program)
        }
        try #require(programs.count == outcome.offers.count, failure)
        try compareRefusals(outcome.refusals)
        try compareHealth(outcome.healthAnswers)
        try #require(
            state.services.problems.map(\.object) == outcome.told.map { "Service \($0)" },
            "\(failure): \(state.services.problems)")
        coverage.count(outcome)
        coverage.look(at: contest, outcome)
    }

    private func compare(
        _ program: ServiceProgram, _ offer: KubeProxyModel.Offer, at destination: KubeProxyModel.Destination
    ) throws {
        try #require(program.service.description == offer.service, "\(failure): \(destination)")
        // kube-proxy leaves clients at a ClusterIP waiting where its traffic stays on a node without endpoints. The API
        // has it that such a Service behaves as if it had none at all, so it refuses at once.
        let inside = offer.inside == .dropped ? .refused : offer.inside
        try #require(program.inside == inside, "\(failure): \(destination)")
        try #require(program.fromOutside == offer.outside, "\(failure): \(destination) from outside")
        try #require(Set(program.kept.map(\.address)) == offer.kept, "\(failure): kept of \(destination)")
        try #require(program.affinitySeconds.map(Int.init) == offer.affinity, "\(failure): \(destination)")
        for client in Self.clients {
            try #require(program.admits(client) == offer.admits(client), "\(failure): \(client) to \(destination)")
        }
        try #require(
            program.admitsNode == (offer.ranges == nil || model.nodeSources.contains(where: offer.admits)),
            "\(failure): the node to \(destination)")
    }

    private func compareRefusals(_ expected: [IPAddress: Bool]) throws {
        let refusals = state.services.refusals
        for (frontend, program) in refusals {
            try #require(expected[frontend.address] == !program.isForOutside, "\(failure): \(frontend)")
        }
        try #require(refusals.count == expected.count, failure)
    }

    private func compareHealth(_ expected: [String: KubeProxyModel.HealthAnswer]) throws {
        let checks = state.services.healthChecks
        for (name, check) in checks {
            let answer = KubeProxyModel.HealthAnswer(port: check.port, endpoints: check.localEndpoints)
            try #require(answer == expected[name.description], "\(failure): the health check of \(name)")
        }
        try #require(checks.count == expected.count, failure)
    }
}

extension ServiceCoverage {
    fileprivate mutating func count(_ offer: KubeProxyModel.Offer, _ program: ServiceProgram) {
        switch offer.inside {
        case .oneOf: count(.served)
        case .refused: count(.refused)
        case .dropped: count(.refusedHere)
        }
        if let outside = offer.outside, outside != offer.inside { count(.apart) }
        if offer.outside == .dropped { count(program.kind == .clusterIP ? .droppedAtClusterIP : .dropped) }
        if offer.outside == nil { count(.insideOnly) }
        if !offer.kept.isEmpty { count(.kept) }
        if offer.ranges != nil { count(.limited) }
        if !program.admitsNode { count(.shutOut) }
        count(program.maglevTableSize == nil ? .noTable : .table)
        switch program.kind {
        case .clusterIP: count(.clusterIP)
        case .loadBalancer: count(.loadBalancer)
        case .externalIP: count(.externalIP)
        case .nodePort: count(.nodePort)
        }
    }

    fileprivate mutating func count(_ outcome: FrontendContest.Outcome) {
        if !outcome.refusals.isEmpty { count(.refusedPort, outcome.refusals.count) }
        if !outcome.told.isEmpty { count(.told, outcome.told.count) }
        for answer in outcome.healthAnswers.values { count(answer.endpoints == 0 ? .unhealthy : .healthy) }
    }
}

extension Frontend {
    fileprivate init(_ destination: KubeProxyModel.Destination) {
        self.init(address: destination.address, port: destination.port, ipProtocol: destination.ipProtocol)
    }
}

extension FrontendKind {
    fileprivate init(_ kind: KubeProxyModel.Kind) {
        switch kind {
        case .cluster: self = .clusterIP
        case .balancer: self = .loadBalancer
        case .external: self = .externalIP
        case .nodePort: self = .nodePort
        }
    }
}

extension ServiceProgram {
    fileprivate var inside: KubeProxyModel.Answer { Self.answer(backends) }

    /// As the data path reads it.
    fileprivate var fromOutside: KubeProxyModel.Answer? {
        if !isForOutside { return nil }
        return outside.isEmpty && (!backends.isEmpty || isServedElsewhere) ? .dropped : Self.answer(outside)
    }

    fileprivate func admits(_ client: IPAddress) -> Bool {
        sourceRanges.isEmpty || sourceRanges.contains { $0.contains(client) }
    }

    private static func answer(_ backends: [Backend]) -> KubeProxyModel.Answer {
        backends.isEmpty ? .refused : .oneOf(Set(backends.map(\.address)))
    }
}
