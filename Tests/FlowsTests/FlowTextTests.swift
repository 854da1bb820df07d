import Addressing
import Flows
import Testing

@Suite struct FlowLines {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let flow: Flow
        let line: String
    }

    static var cases: [Case] {
        var denied = Sample.flow(.denied)
        denied.dropReason = "policy denied"
        denied.count = 12
        denied.counters = FlowCounters(forward: FlowCounters.Way(packets: 12, bytes: 888))
        denied.direction = .ingress
        denied.ingressRule = RuleReference("NetworkPolicy/shop/default-deny/ingress/isolation")
        Sample.directory.enrich(&denied)
        var audited = denied
        (audited.kind, audited.verdict) = (.audited, .audit)
        var closed = Sample.enriched
        (closed.kind, closed.ending, closed.duration) = (.closed, .fin, 1_234_000_000)
        closed.counters = FlowCounters(
            forward: FlowCounters.Way(packets: 6, bytes: 512), reverse: FlowCounters.Way(packets: 1, bytes: 3584))
        (closed.egressRule, closed.ingressRule) = (nil, nil)
        var ping = Sample.flow(from: "fd00::1", to: "2001:db8::9", port: 0, ipProtocol: .icmpv6)
        ping.icmp = ICMPMessage(type: 128, code: 0)
        Sample.directory.enrich(&ping)
        var outside = Sample.flow(from: "203.0.113.9", to: "192.0.2.1", port: 10250)
        Sample.directory.enrich(&outside)
        var named = Sample.flow(from: "10.244.0.1", to: "198.51.100.1", port: 443)
        named.destinationNames = ["api.example.com", "www.example.com", "example.com"]
        Sample.directory.enrich(&named)
        var answer = Sample.flow(.dns, port: 53, ipProtocol: .udp)
        answer.dns = DNSAnswer(
            query: "api.example.com", type: 28, code: 0,
            addresses: [Sample.address("2001:db8::1"), Sample.address("2001:db8::2")], addressCount: 40, lifetime: 30,
            latency: 420_000, isTruncated: true)
        var nothing = Sample.flow(.dns, port: 53, ipProtocol: .udp)
        nothing.dns = DNSAnswer(query: "gone.example.com", type: 4711, code: 3, latency: 2_500_000)
        var unanswered = Sample.flow(.dns, port: 53, ipProtocol: .udp)
        unanswered.dns = DNSAnswer(
            query: "slow.example.com", type: 1, code: 0, latency: 30_000_000_000, isAnswered: false)
        return [
            Case(
                testDescription: "unanswered", flow: unanswered,
                line: """
                    10:31:02.123 ALLOWED  10.244.0.1:53412 -> 10.244.0.2:53 UDP dns slow.example.com. A unanswered after \
                    30.0 s
                    """),
            Case(
                testDescription: "named", flow: named,
                line: """
                    10:31:02.123 ALLOWED  shop/frontend-1:53412 -> 198.51.100.1:443 (api.example.com + 2 more) TCP opened
                    """),
            Case(
                testDescription: "answer", flow: answer,
                line: """
                    10:31:02.123 ALLOWED  10.244.0.1:53412 -> 10.244.0.2:53 UDP dns api.example.com. AAAA NOERROR \
                    2001:db8::1 + 39 more truncated after 420 us
                    """),
            Case(
                testDescription: "no such name", flow: nothing,
                line: """
                    10:31:02.123 ALLOWED  10.244.0.1:53412 -> 10.244.0.2:53 UDP dns gone.example.com. TYPE4711 NXDOMAIN \
                    after 2 ms
                    """),
            Case(
                testDescription: "opened", flow: Sample.enriched,
                line: """
                    10:31:02.123 ALLOWED  shop/frontend-1:53412 -> shop/cart-2:8080 (service shop/cart:http 10.96.0.10:80) \
                    TCP opened: NetworkPolicy shop/frontend-out egress[2], NetworkPolicy shop/cart-allow ingress[0]
                    """),
            Case(
                testDescription: "denied", flow: denied,
                line: """
                    10:31:02.123 DENIED   shop/frontend-1:53412 -> shop/cart-2:8080 TCP denied 12 times (policy denied): \
                    NetworkPolicy shop/default-deny isolates ingress
                    """),
            Case(
                testDescription: "audited", flow: audited,
                line: """
                    10:31:02.123 AUDIT    shop/frontend-1:53412 -> shop/cart-2:8080 TCP audited 12 times (policy denied): \
                    NetworkPolicy shop/default-deny isolates ingress
                    """),
            Case(
                testDescription: "closed", flow: closed,
                line: """
                    10:31:02.123 ALLOWED  shop/frontend-1:53412 -> shop/cart-2:8080 (service shop/cart:http 10.96.0.10:80) \
                    TCP closed by FIN after 1.2 s, 6 packets 512 B out, 1 packet 3.5 KiB back
                    """),
            Case(
                testDescription: "ping", flow: ping,
                line: "10:31:02.123 ALLOWED  shop/frontend-1 -> 2001:db8::9 ICMPv6 opened type 128 code 0"),
            Case(
                testDescription: "outside", flow: outside,
                line: "10:31:02.123 ALLOWED  203.0.113.9:53412 -> node node-a:10250 TCP opened"),
            Case(
                testDescription: "lost", flow: .lost(7, by: .follower, time: Sample.time, node: "node-a"),
                line: "10:31:02.123 LOST     7 records on the way to this reader, which is too slow"),
        ]
    }

    @Test(arguments: cases)
    func aFlowIsOneReadableLine(row: Case) {
        #expect(FlowText().line(row.flow) == row.line)
    }

    @Test func coloursAndTimeZonesAreAsked() {
        let line = FlowText(usesColour: true, utcOffset: -11 * 3600).line(Sample.enriched)
        #expect(line.hasPrefix("23:31:02.123 \u{1b}[32mALLOWED \u{1b}[0m shop/"))
    }

    @Test func theEndOfAConnectionSaysHowWellItWent() {
        var flow = Sample.flow(.closed)
        flow.counters = FlowCounters(forward: FlowCounters.Way(packets: 1, bytes: 60))
        (flow.duration, flow.handshake) = (5_000, 420_000)
        flow.retransmissions = FlowRetransmissions(forward: 2, reverse: 1)
        let end = "after 5 us, 1 packet 60 B out, 0 packets 0 B back, handshake 420 us, 2 + 1 sent again"
        #expect(FlowText().line(flow).hasSuffix(end), "\(FlowText().line(flow))")
    }

    @Test func aPacketSaysItsWayFlagsAndSize() {
        var flow = Sample.flow(.packet)
        flow.tcpFlags = [.syn, .ack]
        flow.counters = FlowCounters(reverse: FlowCounters.Way(packets: 1, bytes: 74))
        #expect(FlowText().line(flow).hasSuffix("TCP packet back SYN ACK 74 B"), "\(FlowText().line(flow))")
    }

    @Test(arguments: cases)
    func aFlowSurvivesJSON(row: Case) throws {
        var flow = row.flow
        flow.sequence = 42
        flow.tcpFlags = flow.loss == nil ? [.syn, .ack, .fin] : nil
        let line = try FlowJSON.line(flow)
        #expect(!line.contains("\n"))
        #expect(try FlowJSON.flow(line) == flow)
    }

    @Test func theJSONFormIsStable() throws {
        var flow = Sample.enriched
        flow.sequence = 7
        flow.tcpFlags = [.syn]
        flow.counters = FlowCounters(forward: FlowCounters.Way(packets: 1, bytes: 60))
        (flow.duration, flow.ending, flow.kind) = (5, .replaced, .closed)
        (flow.handshake, flow.retransmissions) = (420_000, FlowRetransmissions(forward: 2))
        #expect(
            try FlowJSON.line(flow) == """
                {"count":1,"counters":{"forward":{"bytes":60,"packets":1},"reverse":{"bytes":0,"packets":0}},\
                "destination":{"address":"10.244.0.2","kind":"pod","name":"cart-2","namespace":"shop","port":8080},\
                "direction":"egress","duration_ns":5,"egress_rule":"NetworkPolicy/shop/frontend-out/egress/2",\
                "ending":"replaced","handshake_ns":420000,"ingress_rule":"NetworkPolicy/shop/cart-allow/ingress/0","kind":"closed",\
                "node":"node-a","protocol":"TCP","retransmissions":{"forward":2,"reverse":0},"sequence":7,\
                "service":{"address":"10.96.0.10","name":"cart","namespace":"shop","port":80,"port_name":"http"},\
                "source":{"address":"10.244.0.1","kind":"pod","labels":{"app":"frontend"},"name":"frontend-1",\
                "namespace":"shop","port":53412,"workload":{"kind":"Deployment","name":"frontend"}},\
                "tcp_flags":["SYN"],"time":"2026-03-01T10:31:02.123456789Z","verdict":"forwarded"}
                """)
    }

    @Test func namesAndAnswersAreWrittenAsHubbleDoes() throws {
        var flow = Sample.flow(.dns, port: 53, ipProtocol: .udp)
        flow.destinationNames = ["dns.example.com"]
        flow.dns = DNSAnswer(
            query: "api.example.com", type: 1, code: 0, addresses: [Sample.address("198.51.100.1")], addressCount: 3,
            lifetime: 30, latency: 420_000)
        let line = try FlowJSON.line(flow)
        #expect(line.contains(#""destination_names":["dns.example.com"]"#), "\(line)")
        #expect(
            line.contains(
                #""l7":{"dns":{"ip_count":3,"ips":["198.51.100.1"],"qtypes":["A"],"query":"api.example.com.","#
                    + #""rcode":0,"ttl":30},"latency_ns":420000,"type":"RESPONSE"}"#), "\(line)")
        flow.dns = DNSAnswer(query: "", type: 2, code: 2, latency: 1)
        #expect(
            try FlowJSON.line(flow).contains(
                #""l7":{"dns":{"qtypes":["NS"],"query":".","rcode":2},"latency_ns":1,"type":"RESPONSE"}"#))
        flow.dns = DNSAnswer(query: "a.test", type: 1, code: 0, latency: 1, isAnswered: false)
        let unanswered = try FlowJSON.line(flow)
        #expect(
            unanswered.contains(#""l7":{"dns":{"qtypes":["A"],"query":"a.test."},"latency_ns":1,"type":"REQUEST"}"#))
        #expect(try FlowJSON.flow(unanswered).dns == flow.dns)
    }

    @Test(arguments: [
        "{}", "[]", #"{"kind":"opened","time":"2026-03-01T10:31:02Z","node":"a","sequence":1,"count":1}"#,
        #"{"kind":"lost","time":"2026-03-01T10:31:02Z","node":"a","sequence":1,"count":1}"#,
        #"{"kind":"lost","time":"yesterday","node":"a","sequence":1,"count":1,"lost":{"source":"store","count":1}}"#,
    ])
    func nonsenseIsNoFlow(text: String) {
        #expect(throws: (any Error).self) { try FlowJSON.flow(text) }
    }
}

@Suite struct RuleReferences {
    @Test(arguments: [
        ("NetworkPolicy/shop/allow-web/ingress/0", "NetworkPolicy shop/allow-web ingress[0]"),
        ("NetworkPolicy/shop/default-deny/egress/isolation", "NetworkPolicy shop/default-deny isolates egress"),
        ("ClusterNetworkPolicy//admin/egress/3", "ClusterNetworkPolicy admin egress[3]"),
        (
            "ClusterNetworkPolicy//guard/ingress/0/allow-monitoring",
            #"ClusterNetworkPolicy guard ingress[0] "allow-monitoring""#
        ),
        (
            "ClusterNetworkPolicy//guard/ingress/0/a/b \u{1b}[31m",
            #"ClusterNetworkPolicy guard ingress[0] "a/b \u{1B}[31m""#
        ),
        ("something else", "something else"), ("a/b/c/d/e", "a/b/c/d/e"), ("a/b/c/ingress/x", "a/b/c/ingress/x"),
    ])
    func referencesReadWell(text: String, description: String) {
        let reference = RuleReference(text)
        #expect(reference.description == description && reference.text == text)
        if let parts = reference.parts { #expect(RuleReference(parts) == reference) }
    }
}

@Suite struct Timestamps {
    @Test(arguments: [
        (0 as UInt64, "1970-01-01T00:00:00.000000000Z"), (Sample.time, "2026-03-01T10:31:02.123456789Z"),
        (951_782_399_999_999_999, "2000-02-28T23:59:59.999999999Z"),
        (951_868_799_000_000_001, "2000-02-29T23:59:59.000000001Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
    ])
    func timesAreWrittenAndRead(time: UInt64, text: String) {
        #expect(Timestamp.text(time) == text && Timestamp.parse(text) == time)
    }

    @Test func everyDayRoundTrips() {
        for day in 0..<60_000 as Range<UInt64> {
            let time = day * 86_400 * 1_000_000_000 + 1
            if Timestamp.parse(Timestamp.text(time)) != time { Issue.record("day \(day)") }
        }
    }

    @Test(arguments: [
        "", "2026-03-01", "2026-03-01T10:31:02", "2026-13-01T10:31:02Z", "2026-03-01T24:00:00Z",
        "2026-03-01T10:31:02.Z",
        "2026-03-01T10:31:02.1234567890Z", "x026-03-01T10:31:02Z", "+026-03-01T10:31:02Z", "2026-3-1T1:1:1Z",
    ])
    func nonsenseIsNoTime(text: String) {
        #expect(Timestamp.parse(text) == nil)
    }

    @Test func secondsNeedNoDecimals() {
        #expect(Timestamp.parse("1970-01-01T00:00:01Z") == 1_000_000_000)
        #expect(Timestamp.parse("1970-01-01T00:00:01.5Z") == 1_500_000_000)
    }
}
