import Testing

@testable import apus_bench

@Suite struct ServiceComparisons {
    private let metric = ServiceMetric.connections(.nodePort)
    private let latency = ServiceMetric.latency(.clusterIP)

    private func kind(_ subject: ServiceSubject, _ services: Int) -> ServicePeerKind {
        ServicePeerKind(subject: subject, services: services)
    }

    private func report(_ samples: [(ServiceMetric, ServicePeerKind, [Double])]) -> Report {
        let figures = samples.flatMap { metric, kind, values in
            values.map { Report.Figure(metric.name(kind), $0, metric.unit) }
        }
        return Report(
            machine: Machine.current(commit: "test"), settings: .quick, samples: Samples(),
            figures: Report.Figure.joined(figures), repeated: [])
    }

    @Test func areJudgedRoundByRoundWithEachNumberOfServices() {
        let report = report([
            (metric, kind(.apus, 10), [20, 300, 40]), (metric, kind(.iptables, 10), [10, 100, 40]),
            (metric, kind(.apus, 1), [20, 200, 40]), (metric, kind(.iptables, 1), [30, 300, 60]),
        ])
        #expect(
            report.budgets.map(\.name).map { $0.prefix(22) } == ["apus-1 / iptables-1, c", "apus-10 / iptables-10,"])
        #expect(report.budgets.map(\.isMet) == [false, true])
        #expect(report.budgets.map(\.value)[1] == 2)
    }

    @Test func areFlatOrNot() {
        let (few, many) = (kind(.apus, 1), kind(.apus, 10_000))
        let report = report([
            (metric, few, [100]), (metric, many, [94]), (latency, few, [100]), (latency, many, [109]),
        ])
        #expect(report.budgets.map(\.isMet) == [false, true])
    }

    @Test func takeWhatIsNotTheNodesOffTheTimeOfADatagram() {
        let rates = [kind(.direct, 0): 200.0, kind(.kernel, 0): 100, kind(.apus, 10): 50]
        let own = ServiceRounds.nodeForwarding(rates)
        #expect(own.count == 2 && abs((own[kind(.kernel, 0)] ?? 0) - 200) < 1e-9)
        #expect(ServiceRounds.nodeForwarding([kind(.kernel, 0): 100]).isEmpty)
    }

    @Test func areShownBySubjectAndNumber() {
        let text = ServiceReportText(
            report: report([
                (metric, kind(.kernel, 0), [100]), (metric, kind(.apus, 10), [50]),
                (metric, kind(.apus, 1000), [75]), (metric, kind(.nftables, 1000), [150]),
            ])
        ).text
        #expect(text.contains("## Connections, outside to NodePort, pod of the node, 1/s"))
        let rows = text.split(separator: "\n").map { $0.split(separator: "|").map { $0.filter { $0 != " " } } }
        #expect(rows.contains(["kernel", "100(±0.0%)", "–", "–", "–", "–", "–"]))
        #expect(rows.contains(["apus/kernel", "–", "–", "0.50(0.50…0.50)", "0.75(0.75…0.75)", "–", "–"]))
        #expect(rows.contains(["apus/nftables", "–", "–", "–", "0.50(0.50…0.50)", "–", "–"]))
        #expect(!text.contains("## More"))
    }
}

@Suite struct ServicePeerKinds {
    @Test func areMeasuredWithTheNumbersThatTheyAreAbout() {
        #expect(
            ServicePeers.kinds(ServiceSubject.allCases, sizes: [1, 10]).map(\.name) == [
                "direct", "kernel", "iptables-1", "iptables-10", "nftables-1", "nftables-10", "apus-1", "apus-10",
                "apus-stack-10", "apus-xdp-generic-10", "apus-xdp-native-10",
            ])
    }
}
