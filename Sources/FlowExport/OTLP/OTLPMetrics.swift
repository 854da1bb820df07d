public import PrometheusText

extension OTLPResource {
    /// A request that has metrics in it: their names and labels as Prometheus has them, counts from the start on.
    ///
    /// - Parameters:
    ///   - started: when the counts began, in nanoseconds since 1970.
    ///   - now: when they were read.
    /// - Returns: a record that stands for all data points.
    public func metrics(_ families: [MetricFamily], started: UInt64, now: UInt64) -> ExportRecord {
        var points: UInt64 = 0
        var metrics: [JSONObject] = []
        for family in families where !family.samples.isEmpty {
            points += UInt64(family.samples.count)
            metrics.append(Self.metric(family, started: started, now: now))
        }
        return ExportRecord(self.metrics(metrics), events: points)
    }

    /// AGGREGATION_TEMPORALITY_CUMULATIVE.
    private static let cumulative = 2

    private static func metric(_ family: MetricFamily, started: UInt64, now: UInt64) -> JSONObject {
        // Where counts are older nobody knows since when they are: with our start they would seem to begin anew.
        let started = family.kind == .gauge || family.outlivesProcess ? nil : started
        var data = JSONObject()
        data.add(
            "dataPoints",
            family.samples.map { point($0, started: started, now: now) })
        if family.kind != .gauge { data.add("aggregationTemporality", cumulative) }
        if family.kind == .counter { data.add("isMonotonic", raw: "true") }
        var metric = JSONObject()
        metric.add("name", family.name)
        metric.add("description", family.help)
        let kind =
            switch family.kind {
            case .counter: "sum"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        metric.add(kind, data)
        return metric
    }

    private static func point(_ sample: MetricSample, started: UInt64?, now: UInt64) -> JSONObject {
        var attributes = OTLPAttributes()
        for label in sample.labels { attributes.add(label.name, label.value) }
        var point = JSONObject()
        point.add("attributes", attributes.list)
        point.add("startTimeUnixNano", started.map { "\($0)" })
        point.add("timeUnixNano", "\(now)")
        switch sample.value {
        case .count(let count): point.add("asInt", "\(Int64(clamping: count))")
        case .number(let number): point.add("asDouble", raw: text(number))
        case .histogram(let histogram):
            point.add("count", "\(histogram.count)")
            point.add("sum", raw: text(histogram.sum))
            point.add("bucketCounts", raw: list(histogram.counts.map { "\"\($0)\"" }))
            point.add("explicitBounds", raw: list(histogram.bounds.map(text)))
        }
        return point
    }

    private static func list(_ texts: [String]) -> String { "[\(texts.joined(separator: ","))]" }

    /// JSON has no numbers for these three.
    private static func text(_ number: Double) -> String {
        switch number {
        case .infinity: "\"Infinity\""
        case -.infinity: "\"-Infinity\""
        case _ where number.isNaN: "\"NaN\""
        default: "\(number)"
        }
    }
}
