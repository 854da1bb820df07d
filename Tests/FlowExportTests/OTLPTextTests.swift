import Addressing
import FlowExport
import Flows
import JSONText
import PrometheusText
import TestSupport
import Testing

@Suite("OTLP as text")
struct OTLPTextTests {
    private static let resource = OTLPResource(node: "node-a", version: "1.2.3")
    private static let envelope =
        #"{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"apus"}},"#
        + #"{"key":"service.version","value":{"stringValue":"1.2.3"}},"#
        + #"{"key":"k8s.node.name","value":{"stringValue":"node-a"}}]},"#
    private static let scope = #"{"scope":{"name":"apus","version":"1.2.3"},"#
    private static let front = Pod("front-1", "10.1.0.1", node: "node-a").peer
    private static let world = Peer(address: ip("198.51.100.1"))

    private func record(_ flow: Flow) throws -> JSONText {
        var format = OTLPLogFormat(FlowChoice(), node: "node-a", version: "1.2.3", started: 0)
        var output = ExportOutput()
        format.take(flow, now: 0, into: &output)
        return try JSONText(try #require(output.records.first).bytes)
    }

    /// The attributes as `key=value`, lists with commas.
    private func attributes(_ record: JSONText) -> [String] {
        (record["attributes"]?.elements ?? []).map { attribute in
            let value = attribute["value"]
            let list = value?["arrayValue"]?["values"]?.elements.compactMap { $0["stringValue"]?.string }
            let text = list?.joined(separator: ",") ?? value?.members.first?.value.string ?? ""
            return "\(attribute["key"]?.string ?? "")=\(text)"
        }
    }

    @Test("records are put into one request")
    func logs() {
        let records = [ExportRecord("{}".utf8), ExportRecord(#"{"body":{}}"#.utf8)]
        #expect(
            String(decoding: Self.resource.logs(records), as: UTF8.self)
                == #"{"resourceLogs":["# + Self.envelope + #""scopeLogs":["# + Self.scope
                + #""logRecords":[{},{"body":{}}]}]}]}"#)
    }

    @Test("what was denied warns, with its names, its rule and its reason")
    func denied() throws {
        let record = try record(
            flow(.denied, Self.front, Self.world, port: 443) {
                $0.time = 1_772_361_062_123_456_789
                ($0.count, $0.dropReason) = (3, "policy_isolated")
                $0.destinationNames = ["www.example.com", "example.com"]
                $0.egressRule = RuleReference("NetworkPolicy/shop/out/egress/isolation")
                $0.service = FlowService(
                    frontend: SocketAddress(ip("10.96.0.1"), 80), namespace: "shop", name: "web", portName: "http")
            })
        #expect(record["timeUnixNano"]?.string == "1772361062123456789")
        #expect(record["severityNumber"]?.integer == 13 && record["severityText"]?.string == "WARN")
        #expect(record["eventName"]?.string == "apus.flow")
        #expect(record["body"]?["stringValue"]?.string?.hasPrefix("10:31:02.123 DENIED   shop/front-1:50000") == true)
        #expect(
            attributes(record) == [
                "apus.flow.kind=denied", "apus.flow.verdict=dropped", "apus.flow.direction=egress",
                "apus.flow.events=3", "network.transport=tcp", "network.type=ipv4", "source.address=10.1.0.1",
                "source.port=50000", "destination.address=198.51.100.1", "destination.port=443", "k8s.src.type=Pod",
                "k8s.src.namespace=shop", "k8s.src.name=front-1", "k8s.src.owner.type=Deployment",
                "k8s.src.owner.name=front", "k8s.src.node.name=node-a", "apus.service.namespace=shop",
                "apus.service.name=web", "apus.service.port_name=http", "apus.service.address=10.96.0.1",
                "apus.service.port=80", "apus.destination.names=www.example.com,example.com",
                "apus.drop.reason=policy_isolated", "apus.egress.rule=NetworkPolicy shop/out isolates egress",
            ])
    }

    @Test("what a connection moved, what a resolver said and what was lost")
    func others() throws {
        let closed = try record(
            flow(.closed, Self.world, Self.front) {
                $0.counters = FlowCounters(forward: .init(packets: 5, bytes: 600), reverse: .init(packets: 4, bytes: 9))
                ($0.duration, $0.ending, $0.tcpFlags) = (1_000_000, .fin, [.syn, .fin])
            })
        #expect(closed["severityText"]?.string == "INFO")
        #expect(
            attributes(closed).suffix(7) == [
                "apus.sent.packets=5", "apus.sent.bytes=600", "apus.received.packets=4", "apus.received.bytes=9",
                "apus.duration_ns=1000000", "apus.ending=fin", "apus.tcp.flags=FIN,SYN",
            ])
        let dns = try record(
            flow(.dns, Self.front, Self.world, port: 53, .udp) {
                $0.dns = DNSAnswer(
                    query: "www.example.com", type: 1, code: 3, addresses: [ip("192.0.2.1")], latency: 250)
            })
        #expect(
            attributes(dns).suffix(5) == [
                "dns.question.name=www.example.com", "apus.dns.type=A", "apus.dns.code=NXDOMAIN",
                "dns.answers=192.0.2.1", "apus.dns.latency_ns=250",
            ])
        let lost = try record(.lost(7, by: .kernelRing, time: 1, node: "node-a"))
        #expect(lost["severityText"]?.string == "WARN")
        #expect(attributes(lost) == ["apus.flow.kind=lost", "apus.lost.records=7", "apus.lost.place=kernel_ring"])
    }

    @Test("flows that are not chosen are no records")
    func choice() throws {
        var format = OTLPLogFormat(
            try FlowChoice(allowed: [#"{"verdict":["DROPPED"]}"#]), node: "node-a", version: "", started: 0)
        var output = ExportOutput()
        for kind in [Flow.Kind.opened, .denied] {
            format.take(flow(kind, Self.front, Self.world), now: 0, into: &output)
        }
        #expect(output.records.count == 1 && output.records.first?.events == 1)
    }

    @Test("metrics keep their names, labels and numbers")
    func metrics() {
        var drops = MetricFamily("drops_total", .counter, "Dropped.")
        drops.add(.count(UInt64.max), [MetricLabel("reason", "a"), MetricLabel("empty", "")])
        let ages = MetricFamily(
            "ages", .gauge, "Ages.", [MetricSample(.number(0.5), []), MetricSample(.number(.infinity), [])])
        var histogram = Histogram(bounds: [0.1, 1])
        for value in [0.05, 0.5, 0.6, 7] { histogram.observe(value) }
        let times = MetricFamily("times", .histogram, "Times.", [MetricSample(.histogram(histogram), [])])
        let nothing = MetricFamily("nothing", .gauge, "None.")
        let older = MetricFamily("older", .counter, "Older.", [MetricSample(.count(7))], outlivesProcess: true)
        let record = Self.resource.metrics([older, drops, ages, times, nothing], started: 5, now: 9)
        let expected =
            #"{"resourceMetrics":["# + Self.envelope + #""scopeMetrics":["# + Self.scope + #""metrics":["#
            + #"{"name":"older","description":"Older.","sum":{"dataPoints":[{"timeUnixNano":"9","asInt":"7"}],"#
            + #""aggregationTemporality":2,"isMonotonic":true}},"#
            + #"{"name":"drops_total","description":"Dropped.","sum":{"dataPoints":[{"attributes":"#
            + #"[{"key":"reason","value":{"stringValue":"a"}}],"startTimeUnixNano":"5","timeUnixNano":"9","#
            + #""asInt":"9223372036854775807"}],"aggregationTemporality":2,"isMonotonic":true}},"#
            + #"{"name":"ages","description":"Ages.","gauge":{"dataPoints":[{"timeUnixNano":"9","asDouble":0.5},"#
            + #"{"timeUnixNano":"9","asDouble":"Infinity"}]}},"#
            + #"{"name":"times","description":"Times.","histogram":{"dataPoints":[{"startTimeUnixNano":"5","#
            + #""timeUnixNano":"9","count":"4","sum":8.15,"bucketCounts":["1","2","1"],"explicitBounds":[0.1,1.0]}],"#
            + #""aggregationTemporality":2}}]}]}]}"#
        #expect(String(decoding: record.bytes, as: UTF8.self) == expected)
        #expect(record.events == 5)
    }
}
