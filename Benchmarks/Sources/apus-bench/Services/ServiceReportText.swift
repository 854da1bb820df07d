import Foundation

/// The report on Services: for each thing that is measured a table of subjects by numbers of Services, and one of
/// Apus' ratios to the others.
struct ServiceReportText {
    let report: Report

    private static let references: [ServiceSubject] = [.kernel, .iptables, .nftables]
    private static let flatness = "\(ServicePeerKind.sizes.last ?? 0) / \(ServicePeerKind.sizes.first ?? 0)"

    var text: String {
        let base = ReportText(report: report)
        let subjects = ServiceSubject.allCases.filter { subject in rows(of: subject).count > 0 }
        var lines = base.origin + subjects.map { "- `\($0.rawValue)`: \($0.explanation)" }
        for metric in ServiceMetric.all where !table(metric).isEmpty {
            lines += ["", "## \(metric.title.prefix(1).uppercased())\(metric.title.dropFirst()), \(metric.unit)", ""]
            lines += ReportText.table([header("Services")] + table(metric))
            lines += [""] + ReportText.table([header("ratio")] + ratios(metric))
        }
        return (lines + base.figures(others) + base.verdicts).joined(separator: "\n") + "\n"
    }

    private var sizes: [Int] { [0] + ServicePeerKind.sizes }

    private func header(_ title: String) -> [String] {
        [title, "none"] + ServicePeerKind.sizes.map { "\($0)" } + [Self.flatness]
    }

    /// The figures that no table shows.
    private var others: [Report.Figure] {
        let shown = Set(
            ServiceMetric.all.flatMap { metric in
                ServiceSubject.allCases.flatMap { subject in
                    sizes.map { metric.name(ServicePeerKind(subject: subject, services: $0)) }
                }
            })
        return report.figures.filter { !shown.contains($0.name) }
    }

    private func rows(of subject: ServiceSubject) -> [[String]] {
        ServiceMetric.all.flatMap { table($0) }.filter { $0.first == subject.rawValue }
    }

    private func table(_ metric: ServiceMetric) -> [[String]] {
        ServiceSubject.allCases.compactMap { subject in
            let cells = sizes.map { size in
                figure(metric, subject, size).map { Self.cell($0) } ?? "–"
            }
            guard cells.contains(where: { $0 != "–" }) else { return nil }
            return [subject.rawValue] + cells + [flatness(metric, subject)]
        }
    }

    /// Apus' ratio to each of the others with as many Services, and to the kernel without any.
    private func ratios(_ metric: ServiceMetric) -> [[String]] {
        let subjects = ServiceSubject.allCases.filter(\.isApus)
        return subjects.flatMap { subject in
            (Self.references + (subject == .apus ? [] : [.apus])).compactMap { reference in
                let cells = sizes.map { size in ratio(metric, subject, size, reference) ?? "–" }
                guard cells.contains(where: { $0 != "–" }) else { return nil }
                return ["\(subject.rawValue) / \(reference.rawValue)"] + cells + ["–"]
            }
        }
    }

    private func ratio(
        _ metric: ServiceMetric, _ subject: ServiceSubject, _ size: Int, _ reference: ServiceSubject
    ) -> String? {
        let own = ServicePeerKind(subject: subject, services: size)
        let other = ServicePeerKind(subject: reference, services: reference == .kernel ? 0 : size)
        return report.multiple(metric.name(own), of: metric.name(other)).map { ReportText.cell($0) }
    }

    private func flatness(_ metric: ServiceMetric, _ subject: ServiceSubject) -> String {
        guard subject.hasServices, let few = ServicePeerKind.sizes.first, let many = ServicePeerKind.sizes.last
        else { return "–" }
        let ends = [many, few].map { metric.name(ServicePeerKind(subject: subject, services: $0)) }
        return report.multiple(ends[0], of: ends[1]).map { ReportText.cell($0) } ?? "–"
    }

    private func figure(_ metric: ServiceMetric, _ subject: ServiceSubject, _ size: Int) -> Report.Figure? {
        let name = metric.name(ServicePeerKind(subject: subject, services: size))
        // One without Services has one name, whatever the number.
        return !subject.hasServices && size > 0 ? nil : report.figures.first { $0.name == name }
    }

    private static func cell(_ figure: Report.Figure) -> String {
        let deviation = Summary(figure.samples)?.relativeDeviation ?? 0
        return "\(ReportText.number(figure.value)) (±\(String(format: "%.1f", deviation * 100)) %)"
    }
}
