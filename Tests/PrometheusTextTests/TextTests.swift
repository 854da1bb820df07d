import PrometheusText
import TestSupport
import Testing

@Suite struct TextTests {
    @Test func familiesAreWrittenInPrometheusTextFormat() {
        var drops = MetricFamily("drops_total", .counter, "Packets that were dropped, \\ and\nwhy.")
        drops.add(.count(UInt64.max), [MetricLabel("reason", "a \"b\" \\ c\nd"), MetricLabel("direction", "egress")])
        drops.add(.count(0), [MetricLabel("reason", ""), MetricLabel("direction", "ingress")])
        var ages = MetricFamily("age_seconds", .gauge, "Ages.")
        for number in [0.25, 3, -.infinity, .infinity, 1e-9, 1e21] {
            ages.add(.number(number), [MetricLabel("of", "\(number)")])
        }
        let empty = MetricFamily("nothing_total", .counter, "Has no samples.")
        #expect(
            PrometheusText.text([drops, empty, ages]) == #"""
                # HELP drops_total Packets that were dropped, \\ and\nwhy.
                # TYPE drops_total counter
                drops_total{reason="a \"b\" \\ c\nd",direction="egress"} 18446744073709551615
                drops_total{reason="",direction="ingress"} 0
                # HELP age_seconds Ages.
                # TYPE age_seconds gauge
                age_seconds{of="0.25"} 0.25
                age_seconds{of="3.0"} 3
                age_seconds{of="-inf"} -Inf
                age_seconds{of="inf"} +Inf
                age_seconds{of="1e-09"} 1e-09
                age_seconds{of="1e+21"} 1e+21

                """#)
    }

    /// Names of owners are anybody's choice: with a mark behind it a quote is no Character of its own.
    @Test(arguments: [
        ("\"\u{301}", "\\\"\u{301}"), ("\\\u{301}", "\\\\\u{301}"), ("\r\n", "\r\\n"), ("\n\u{301}", "\\n\u{301}"),
    ]) func whatHasMeaningIsEscapedWhateverFollows(value: String, written: String) async throws {
        let text = PrometheusText.text([
            MetricFamily("odd_total", .counter, "Odd.", [.init(.count(1), [.init("a", value)])])
        ])
        #expect(
            text.utf8.elementsEqual(
                "# HELP odd_total Odd.\n# TYPE odd_total counter\nodd_total{a=\"\(written)\"} 1\n".utf8))
        #expect(try await promtoolRemarks(on: text) == [])
    }

    @Test func familiesOfOneNameAreMerged() {
        func family(_ name: String, _ count: Int) -> MetricFamily {
            MetricFamily(name, .counter, "Some.", [MetricSample(.count(count), [MetricLabel("of", "\(count)")])])
        }
        let merged = MetricFamily.merged([[family("a", 1), family("b", 2)], [family("b", 3)], [family("a", 4)]])
        #expect(merged.map(\.name) == ["a", "b"])
        #expect(merged.map { $0.samples.map(\.value) } == [[.count(1), .count(4)], [.count(2), .count(3)]])
    }

    @Test func aHistogramsBucketsAreCumulativeAndIncludeTheirBounds() {
        var histogram = Histogram(exponential: 0.5, factor: 2, count: 3)
        for value in [0.5, 0.625, 1, 2.5, 0.125] { histogram.observe(value) }
        #expect(histogram.count == 5)
        let family = MetricFamily(
            "wait_seconds", .histogram, "Waits.", [MetricSample(.histogram(histogram), [MetricLabel("on", "map")])])
        #expect(
            PrometheusText.text([family]) == """
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{on="map",le="0.5"} 2
                wait_seconds_bucket{on="map",le="1"} 4
                wait_seconds_bucket{on="map",le="2"} 4
                wait_seconds_bucket{on="map",le="+Inf"} 5
                wait_seconds_sum{on="map"} 4.75
                wait_seconds_count{on="map"} 5

                """)
    }

    @Test func prometheusReadsIt() async throws {
        var histogram = Histogram(exponential: 0.001, factor: 2, count: 15)
        for value in [0, 0.002, 7, 1e9] { histogram.observe(value) }
        let text = PrometheusText.text([
            MetricFamily("odd_total", .counter, "Odd \\ \n \" help.", [.init(.count(1), [.init("a", "\\\"\n{},=")])]),
            MetricFamily("even_seconds", .histogram, "Even.", [.init(.histogram(histogram))]),
            MetricFamily("not_a_number", .gauge, "None.", [.init(.number(.nan))]),
        ])
        #expect(try await promtoolRemarks(on: text) == [])
    }
}
