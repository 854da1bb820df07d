import Foundation

/// What Apus promises to cost (docs/performance.md), as a number that a report must reach.
struct Budget: Sendable {
    /// One of the report's numbers in the pinned mode.
    enum Measure: Sendable {
        /// The ratio of two peers in each of the workloads, to a pod and to a ClusterIP.
        case ratio(Comparison, [Workload])
        /// A number of its own, by the beginning of its name.
        case figure(String)
        /// One number as a multiple of another, by their names.
        case multiple(String, of: String)
        /// The ratio of two peers of the comparison of Services.
        case services(ServiceMetric, ServicePeerKind, of: ServicePeerKind)
    }

    enum Bound: Sendable {
        case atLeast(Double)
        case above(Double)
        case atMost(Double)
        case below(Double)

        func admits(_ value: Double) -> Bool {
            switch self {
            case .atLeast(let bound): value >= bound
            case .above(let bound): value > bound
            case .atMost(let bound): value <= bound
            case .below(let bound): value < bound
            }
        }

        var text: String {
            switch self {
            case .atLeast(let bound): "at least \(bound)"
            case .above(let bound): "above \(bound)"
            case .atMost(let bound): "at most \(bound)"
            case .below(let bound): "below \(bound)"
            }
        }
    }

    var measure: Measure
    var bound: Bound

    /// Throughput has a budget only for what flow events cost.
    private static let judged: [Workload] = [.tcpRequests, .udpRequests, .connections]

    static let all =
        [
            Budget(.ratio(Comparison(subject: .apusFew, reference: .kernel), judged), .atLeast(1)),
            Budget(.ratio(Comparison(subject: .apusFew, reference: .iptablesFew), judged), .above(1)),
            Budget(.ratio(Comparison(subject: .apusMany, reference: .iptablesMany), judged), .above(1)),
            // As fast, with an allowance for noise.
            Budget(.ratio(Comparison(subject: .apusMany, reference: .apusFew), judged), .atLeast(0.97)),
            Budget(
                .ratio(Comparison(subject: .apusFew, reference: .apusSilent), [.connections, .throughput]),
                .atLeast(0.97)),
            Budget(.figure("program \(ServiceCount.many) Services"), .below(1000)),
            Budget(.figure(FlowFigures.rate), .atLeast(1)),
        ] + policyRules + flood + names + scale + services

    /// The rules of a policy cost a new connection little, and nothing later but for noise.
    private static let policyRules = PolicyRules.counts.dropFirst().flatMap { rules in
        [("new TCP connection", 1.5), ("established TCP packet", 1.05)].map { what, most in
            Budget(
                .multiple(PolicyRules.title(what, rules: rules), of: PolicyRules.title(what, rules: 0)), .atMost(most))
        }
    }

    /// Events that come faster than they are read cost packets nothing more.
    private static let flood = [
        Budget(
            .multiple(PolicyRules.fullRing, of: PolicyRules.readRing), .atMost(1.05))
    ]

    /// Who has no policy with names pays one look-up for a DNS answer; who has one hardly notices it.
    private static let names = [
        Budget(
            .multiple(NameFigures.unnamed(NameFigures.answer), of: NameFigures.unnamed(NameFigures.plain)),
            .atMost(1.25)),
        Budget(
            .multiple(
                NameLatencies.title(50, NameLatencies.policy), of: NameLatencies.title(50, NameLatencies.noPolicy)),
            .atMost(1.25)),
    ]

    /// A node of a large cluster.
    private static let scale = [
        Budget(.figure(ScaleFigures.memory), .below(250)), Budget(.figure(ScaleFigures.latency(99)), .below(5)),
    ]

    init(_ measure: Measure, _ bound: Bound) {
        self.measure = measure
        self.bound = bound
    }

    /// What the report says of it; empty where it did not measure that.
    func verdicts(in report: Report) -> [Report.BudgetVerdict] {
        switch measure {
        case .ratio(let comparison, let workloads):
            let titles = Metric.all.filter { workloads.contains($0.workload) }.map(\.title)
            return report.ratios.filter { ratio in
                ratio.mode == Mode.pinned.rawValue && ratio.subject == comparison.subject.rawValue
                    && ratio.reference == comparison.reference.rawValue && titles.contains(ratio.metric)
            }.map { verdict("\(comparison.title), \($0.metric)", $0.median) }
        case .figure(let name):
            return report.figures.filter { $0.name.hasPrefix(name) }.map { verdict("\($0.name), \($0.unit)", $0.value) }
        case .multiple(let name, let other):
            return report.multiple(name, of: other).map {
                [verdict("\(name), as a multiple of \(other)", $0.median)]
            } ?? []
        case .services(let metric, let subject, let reference):
            return report.multiple(metric.name(subject), of: metric.name(reference)).map {
                [verdict("\(subject.name) / \(reference.name), \(metric.title)", $0.median)]
            } ?? []
        }
    }

    private func verdict(_ name: String, _ value: Double) -> Report.BudgetVerdict {
        Report.BudgetVerdict(name: name, bound: bound.text, value: value, isMet: bound.admits(value))
    }
}
