import Addressing
import FlowExport
import Flows
import JSONText
import TestSupport
import Testing

@Suite("Flows as Hubble's lines")
struct HubbleFormatTests {
    private static let front = Pod("front-1", "10.1.0.1", node: "node-a").peer
    private static let cart = Pod("cart-1", "10.1.0.2", node: "node-a").peer
    private static let world = Peer(address: ip("198.51.100.1"))
    /// 2026-03-01T10:31:02.123456789Z.
    private static let time: UInt64 = 1_772_361_062_123_456_789

    /// One of each verdict, and a loss.
    private static let flows: [Flow] = [
        flow(.opened, front, cart) {
            $0.time = time
            $0.egressRule = RuleReference("NetworkPolicy/shop/out/egress/0")
        },
        flow(.denied, world, cart, port: 22) {
            $0.time = time
            ($0.direction, $0.dropReason, $0.count) = (.ingress, "policy_isolated", 3)
        },
        .lost(7, by: .kernelRing, time: time, node: "node-a"),
    ]

    private func output(_ choice: FlowChoice, _ flows: [Flow] = flows) -> ExportOutput {
        var format = HubbleFormat(choice, node: "node-a", version: "1.2.3", started: 0)
        var output = ExportOutput()
        for flow in flows { format.take(flow, now: 0, into: &output) }
        return output
    }

    private func lines(_ choice: FlowChoice, _ flows: [Flow] = flows) -> [String] {
        output(choice, flows).records.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test("a flow is one line, with the names of the published definitions")
    func whole() throws {
        let line = try #require(lines(FlowChoice()).first)
        let record = try JSONText(line.utf8)
        #expect(record["node_name"]?.string == "node-a")
        #expect(record["time"]?.string == "2026-03-01T10:31:02.123456789Z")
        let flow = try #require(record["flow"])
        #expect(flow["verdict"]?.string == "FORWARDED" && flow["Type"]?.string == "L3_L4")
        #expect(flow["IP"]?["source"]?.string == "10.1.0.1")
        #expect(flow["l4"]?["TCP"]?["destination_port"]?.integer == 80)
        #expect(flow["source"]?["pod_name"]?.string == "front-1")
        #expect(flow["destination"]?["workloads"]?.elements.first?["name"]?.string == "cart")
        #expect(flow["egress_allowed_by"]?.elements.first?["name"]?.string == "out")
        #expect(flow["uuid"]?.string == "00000000-0000-8000-8000-000000000000")
        #expect(flow["is_reply"]?.boolean == false && !line.contains("\n"))
    }

    @Test("a loss is a line of its own that stands for no flow, whatever is chosen")
    func losses() throws {
        let chosen = [
            FlowChoice(), try FlowChoice(allowed: [#"{"verdict":["ERROR"]}"#], fields: ["verdict"]),
            try FlowChoice(denied: ["{}"]),
        ]
        for choice in chosen {
            let record = try #require(output(choice).records.last)
            let text = String(decoding: record.bytes, as: UTF8.self)
            #expect(
                text == #"{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"7"},"#
                    + #""node_name":"node-a","time":"2026-03-01T10:31:02.123456789Z"}"#)
            #expect(record.events == 0)
        }
    }

    private struct Filtered: Sendable {
        let allowed: [String]
        let denied: [String]
        let ports: [Int]
    }

    @Test(
        "filters are those of Hubble, one after the other",
        arguments: [
            Filtered(allowed: [], denied: [], ports: [80, 22]),
            Filtered(allowed: [#"{"verdict":["DROPPED","ERROR"]}"#], denied: [], ports: [22]),
            Filtered(
                allowed: [#"{"verdict":["DROPPED"]} {"source_pod":["shop/front"]}"#], denied: [], ports: [80, 22]),
            Filtered(
                allowed: [#"{"verdict":["DROPPED"]}"#, #"{"destinationPort":["80"]}"#], denied: [], ports: [80, 22]),
            Filtered(allowed: [], denied: [#"{"source_ip":["198.51.100.0/24"]}"#], ports: [80]),
            Filtered(allowed: [#"{"destination_pod":["shop/cart-1"]}"#], denied: [#"{"reply":[false]}"#], ports: []),
        ])
    private func filters(_ filtered: Filtered) throws {
        let choice = try FlowChoice(allowed: filtered.allowed, denied: filtered.denied)
        let ports = try lines(choice).compactMap { try JSONText($0.utf8)["flow"]?["l4"] }
            .compactMap { $0["TCP"]?["destination_port"]?.integer }
        #expect(ports == filtered.ports)
    }

    @Test("a mask leaves the fields that it names")
    func mask() throws {
        let choice = try FlowChoice(fields: ["verdict", "source.pod_name", "ip_trace_id"])
        #expect(
            lines(choice).first == #"{"flow":{"verdict":"FORWARDED","source":{"pod_name":"front-1"}},"#
                + #""node_name":"node-a","time":"2026-03-01T10:31:02.123456789Z"}"#)
    }

    @Test(
        "what can't be understood is told, with where it is",
        arguments: [
            ("{", "allowlist: '{' is no JSON: expected a name in quotes at byte 1"),
            (
                #"{"verdicts":["DROPPED"]}"#,
                #"allowlist: '{"verdicts":["DROPPED"]}' is no filter of flows: there is no field 'verdicts'"#
            ),
            (#"{} {"http_path":["/"]}"#, "allowlist[1].http_path: flows of Apus have nothing to compare with it"),
            (#"{"source_ip":["web"]}"#, "allowlist[0].source_ip[0]: 'web' is neither an address nor a block of them"),
        ])
    func mistakes(_ filter: String, _ problem: String) {
        #expect {
            _ = try FlowChoice(allowed: [filter])
        } throws: {
            "\($0)" == problem
        }
        #expect {
            _ = try FlowChoice(denied: [filter])
        } throws: {
            "\($0)" == problem.replacing("allowlist", with: "denylist")
        }
    }
}
