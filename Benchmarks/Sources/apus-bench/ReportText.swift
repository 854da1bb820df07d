import Foundation

/// The report as tables that are readable in a terminal and valid in a Markdown document.
struct ReportText {
    let report: Report

    var text: String {
        var lines = heading
        for mode in Mode.allCases where report.rates.contains(where: { $0.mode == mode.rawValue }) {
            lines += ["", "## \(mode.title.prefix(1).uppercased())\(mode.title.dropFirst())", ""] + rates(mode)
            lines += [""] + ratios(mode)
        }
        return (lines + figures(report.figures) + verdicts).joined(separator: "\n") + "\n"
    }

    /// Numbers that no other table shows.
    func figures(_ figures: [Report.Figure]) -> [String] {
        guard !figures.isEmpty else { return [] }
        return ["", "## More", ""] + Self.table([["figure", "value"]] + figures.map { [$0.name, Self.cell($0)] })
    }

    /// Whether the budgets were kept, and what to think of the run.
    var verdicts: [String] {
        var lines: [String] = []
        if !report.budgets.isEmpty { lines += ["", "## Budgets", ""] + budgets }
        if !report.repeated.isEmpty { lines += ["", "Repeated after a failure:"] + report.repeated.map { "- \($0)" } }
        return lines
    }

    private var heading: [String] {
        let peers = PeerKind.allCases.filter { peer in report.rates.contains { $0.peer == peer.rawValue } }
        return origin + peers.map { "- `\($0.rawValue)`: \($0.explanation)" }
    }

    /// Where, when and of what the numbers are.
    var origin: [String] {
        let machine = report.machine
        return [
            "Apus \(machine.commit), \(machine.date), Linux \(machine.kernel), \(machine.cpus) × \(machine.cpu).",
            "The load before was \(machine.load). Medians of \(report.rounds) rounds of \(report.seconds) s, each with peers made for it; in brackets the spread.",
            "",
        ]
    }

    private func rates(_ mode: Mode) -> [String] {
        let rates = report.rates.filter { $0.mode == mode.rawValue }
        let peers = PeerKind.allCases.map(\.rawValue).filter { peer in rates.contains { $0.peer == peer } }
        let rows = Metric.all.filter { metric in rates.contains { $0.metric == metric.title } }.map { metric in
            ["\(metric.title), \(metric.workload.unit)"]
                + peers.map { peer in
                    rates.first { $0.metric == metric.title && $0.peer == peer }.map(Self.cell) ?? "–"
                }
        }
        return Self.table([["rate"] + peers] + rows)
    }

    private func ratios(_ mode: Mode) -> [String] {
        let ratios = report.ratios.filter { $0.mode == mode.rawValue }
        let titles = Metric.all.map(\.title).filter { title in ratios.contains { $0.metric == title } }
        let rows = Comparison.all.compactMap { comparison -> [String]? in
            let own = ratios.filter {
                $0.subject == comparison.subject.rawValue && $0.reference == comparison.reference.rawValue
            }
            guard !own.isEmpty else { return nil }
            return [comparison.title] + titles.map { title in own.first { $0.metric == title }.map(Self.cell) ?? "–" }
        }
        return Self.table([["ratio"] + titles] + rows)
    }

    private var budgets: [String] {
        Self.table(
            [["budget", "bound", "measured", ""]]
                + report.budgets.map { budget in
                    [budget.name, budget.bound, Self.number(budget.value), budget.isMet ? "met" : "missed"]
                })
    }

    private static func cell(_ rate: Report.Rate) -> String {
        "\(number(rate.median)) (±\(String(format: "%.1f", rate.deviation * 100)) %)"
    }

    private static func cell(_ figure: Report.Figure) -> String {
        let value = "\(number(figure.value)) \(figure.unit)"
        guard figure.samples.count > 1, let all = Summary(figure.samples) else { return value }
        return "\(value) (\(number(all.minimum))…\(number(all.maximum)))"
    }

    private static func cell(_ ratio: Report.Ratio) -> String {
        cell(median: ratio.median, ratio.minimum, ratio.maximum)
    }

    static func cell(_ ratios: Summary) -> String { cell(median: ratios.median, ratios.minimum, ratios.maximum) }

    private static func cell(median: Double, _ minimum: Double, _ maximum: Double) -> String {
        String(format: "%.2f (%.2f…%.2f)", median, minimum, maximum)
    }

    /// Three significant digits or more: nobody's noise is smaller.
    static func number(_ value: Double) -> String {
        String(format: value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value)
    }

    static func table(_ rows: [[String]]) -> [String] {
        guard let header = rows.first else { return [] }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        lines.insert("|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|", at: 1)
        return lines
    }
}
