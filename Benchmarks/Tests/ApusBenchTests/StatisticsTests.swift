import Testing

@testable import apus_bench

@Suite struct Summaries {
    @Test(arguments: [
        ([3.0], 3.0, 0.0), ([1, 2, 3, 4], 2.5, 1), ([5, 1, 3], 3, 2), ([10, 10, 10, 10, 1000], 10, 0),
    ])
    func areTheMedianAndTheMedianOfTheDeviationsFromIt(samples: [Double], median: Double, deviation: Double) {
        let summary = Summary(samples)
        #expect(summary?.median == median)
        #expect(summary?.deviation == deviation)
    }

    @Test func ofNothingAreNothing() { #expect(Summary([]) == nil) }
}

@Suite struct Ratios {
    private let pod = Metric(workload: .connections, destination: .pod)
    private let clusterIP = Metric(workload: .connections, destination: .clusterIP)

    private func samples(_ series: [(PeerKind, Metric, [Double])]) -> Samples {
        var samples = Samples()
        for (peer, metric, values) in series {
            for value in values { samples.add(value, to: .init(mode: .pinned, metric: metric, peer: peer)) }
        }
        return samples
    }

    @Test func areTakenRoundByRoundSoThatDriftDropsOut() {
        let samples = samples([(.apusFew, pod, [2, 20, 200]), (.kernel, pod, [1, 10, 100])])
        let ratio = samples.ratios(of: .apusFew, to: .kernel, .pinned, pod)
        #expect(ratio == Summary([2, 2, 2]))
    }

    @Test func compareAServiceWithTheServersOwnAddressWhereThePeerKnowsNoServices() {
        let samples = samples([(.apusFew, clusterIP, [3]), (.kernel, pod, [2]), (.iptablesFew, clusterIP, [1])])
        #expect(samples.ratios(of: .apusFew, to: .kernel, .pinned, clusterIP)?.median == 1.5)
        #expect(samples.ratios(of: .apusFew, to: .iptablesFew, .pinned, clusterIP)?.median == 3)
        #expect(samples.ratios(of: .apusFew, to: .veth, .pinned, clusterIP) == nil)
    }
}

@Suite struct FiguresOfSeveralRounds {
    private let figures: [Report.Figure] = [
        .init("a", 10, "ns"), .init("b", 20, "ns"), .init("once", 3, "MiB"), .init("a", 100, "ns"),
        .init("b", 180, "ns"),
        .init("a", 50, "ns"), .init("b", 150, "ns"),
    ]

    @Test func areTheirMediansInTheOrderTheyCameIn() {
        let joined = Report.Figure.joined(figures)
        #expect(joined.map(\.name) == ["a", "b", "once"])
        #expect(joined.map(\.value) == [50, 150, 3])
        #expect(joined.map(\.samples) == [[10, 100, 50], [20, 180, 150], [3]])
    }

    @Test func areComparedRoundByRound() {
        let report = Report(
            machine: Machine.current(commit: "test"), settings: .quick, samples: Samples(),
            figures: Report.Figure.joined(figures), repeated: [])
        #expect(report.multiple("b", of: "a") == Summary([2, 1.8, 3]))
        #expect(report.multiple("c", of: "a") == nil)
        #expect(ReportText(report: report).text.contains("| 50.0 ns (10.0…100) |"))
    }
}

@Suite struct Budgets {
    private func report(connections: Double, programming: Double) -> Report {
        var samples = Samples()
        let metric = Metric(workload: .connections, destination: .pod)
        samples.add(connections, to: .init(mode: .pinned, metric: metric, peer: .apusFew))
        samples.add(100, to: .init(mode: .pinned, metric: metric, peer: .kernel))
        samples.add(50, to: .init(mode: .free, metric: metric, peer: .apusFew))
        samples.add(100, to: .init(mode: .free, metric: metric, peer: .kernel))
        return Report(
            machine: Machine.current(commit: "test"), settings: .quick, samples: samples,
            figures: [.init("program 10000 Services × 10 endpoints, from objects to maps", programming, "ms")],
            repeated: [])
    }

    @Test func areJudgedByThePinnedModeAlone() {
        #expect(report(connections: 100, programming: 400).budgets.map(\.isMet) == [true, true])
    }

    @Test func areMissedOneByOne() {
        #expect(report(connections: 99, programming: 400).budgets.map(\.isMet) == [false, true])
        #expect(report(connections: 101, programming: 1000).budgets.map(\.isMet) == [true, false])
        #expect(ReportText(report: report(connections: 99, programming: 400)).text.contains("| missed |"))
    }
}
