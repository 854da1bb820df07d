/// Metrics in Prometheus' text format, version 0.0.4.
public enum PrometheusText {
    /// What an HTTP answer calls it.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Families as text, in their order; one without samples is left out.
    public static func text(_ families: [MetricFamily]) -> String {
        var text = ""
        for family in families where !family.samples.isEmpty { write(family, to: &text) }
        return text
    }

    private static func write(_ family: MetricFamily, to text: inout String) {
        text += "# HELP \(family.name) \(escaped(family.help, quotes: false))\n"
        text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
        for sample in family.samples {
            switch sample.value {
            case .count(let count): line(family.name, sample.labels, "\(count)", to: &text)
            case .number(let number): line(family.name, sample.labels, self.number(number), to: &text)
            case .histogram(let histogram): write(histogram, family.name, sample.labels, to: &text)
            }
        }
    }

    /// A histogram's buckets are cumulative in this format.
    private static func write(
        _ histogram: Histogram, _ name: String, _ labels: [MetricLabel], to text: inout String
    ) {
        var total: UInt64 = 0
        for (count, bound) in zip(histogram.counts, histogram.bounds + [.infinity]) {
            total += count
            line("\(name)_bucket", labels + [MetricLabel("le", number(bound))], "\(total)", to: &text)
        }
        line("\(name)_sum", labels, number(histogram.sum), to: &text)
        line("\(name)_count", labels, "\(total)", to: &text)
    }

    private static func line(_ name: String, _ labels: [MetricLabel], _ value: String, to text: inout String) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }
            text += "{\(pairs.joined(separator: ","))}"
        }
        text += " \(value)\n"
    }

    private static func number(_ number: Double) -> String {
        switch number {
        case .infinity: "+Inf"
        case -.infinity: "-Inf"
        case _ where number.isNaN: "NaN"
        case _ where number.rounded() == number && abs(number) < 1e15: "\(Int64(number))"
        default: "\(number)"
        }
    }

    /// The format's escapes; quotes are only special in values of labels.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        let isPlain = text.utf8.allSatisfy { $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\n") && $0 != 0x22 }
        if isPlain { return text }
        // By scalars: with a combining mark behind it a quote is another Character, and no other quote.
        return text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
    }
}
