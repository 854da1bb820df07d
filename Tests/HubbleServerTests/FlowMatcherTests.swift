import Flows
import HubbleAPI
import HubbleFlows
import SwiftProtobuf
import Testing

/// A filter in JSON and which of the sample's flows it is for.
struct FilterCase: Sendable, CustomTestStringConvertible {
    let filter: String
    let flows: [Int]

    init(_ filter: String, _ flows: [Int]) { (self.filter, self.flows) = (filter, flows) }

    var testDescription: String { filter }
}

@Suite("Filters of Hubble's clients")
struct FlowMatcherTests {
    static func filter(_ json: String) throws -> HubbleFlowFilter { try HubbleFlowFilter(jsonString: json) }

    static let cases: [FilterCase] = [
        FilterCase("{}", [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"source_ip": ["10.1.0.1"]}"#, [0, 2]),
        FilterCase(#"{"source_ip": ["10.1.0.0/24", "fd00::/16"]}"#, [0, 2, 3, 5]),
        FilterCase(#"{"destination_ip": ["198.51.100.0/24"]}"#, [2]),
        FilterCase(#"{"source_pod": ["shop/front"]}"#, [0, 2]),
        FilterCase(#"{"source_pod": ["shop/"]}"#, [0, 2, 5]),
        FilterCase(#"{"source_pod": ["/co"]}"#, [3]),
        FilterCase(#"{"source_pod": ["front"]}"#, []),
        FilterCase(#"{"destination_pod": ["shop/cart-7", "shop/front-1"]}"#, [0, 1, 3, 4, 5]),
        FilterCase(#"{"source_fqdn": ["*.example.com"]}"#, []),
        FilterCase(#"{"destination_fqdn": ["*.example.com"]}"#, [2]),
        FilterCase(#"{"destination_fqdn": ["Example.com."]}"#, [2]),
        FilterCase(#"{"destination_fqdn": ["*"]}"#, [2]),
        FilterCase(#"{"source_label": ["app=front"]}"#, [0, 2]),
        FilterCase(#"{"source_label": ["k8s:app in (front, cart),!tier"]}"#, [5]),
        FilterCase(#"{"source_label": ["app!=front"]}"#, [1, 3, 4, 5]),
        FilterCase(#"{"source_label": ["tier"]}"#, [0, 2]),
        FilterCase(#"{"source_label": ["app notin (front)", "reserved:world"]}"#, [1, 3, 4, 5]),
        FilterCase(#"{"source_label": ["reserved:host"]}"#, [4]),
        FilterCase(#"{"destination_label": ["k8s-app == kube-dns"]}"#, []),
        FilterCase(#"{"destination_service": ["shop/ca"]}"#, [0]),
        FilterCase(#"{"source_service": ["shop/cart"]}"#, []),
        FilterCase(#"{"destination_port": ["443", "80"]}"#, [0, 2]),
        FilterCase(#"{"source_port": ["53"]}"#, [3]),
        FilterCase(#"{"source_workload": [{"kind": "deployment"}]}"#, [0, 2]),
        FilterCase(#"{"destination_workload": [{"name": "cart"}, {"name": "x"}]}"#, [0, 1, 4]),
        FilterCase(#"{"source_identity": [2]}"#, [1]),
        FilterCase(#"{"source_label": [""]}"#, [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"destination_identity": [2]}"#, [2]),
        FilterCase(#"{"source_cluster_name": ["other"]}"#, []),
        FilterCase(#"{"source_cluster_name": ["default"]}"#, [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"destination_cluster_name": ["other"]}"#, []),
        FilterCase(#"{"verdict": ["DROPPED", "AUDIT"]}"#, [1, 4]),
        FilterCase(#"{"drop_reason_desc": ["POLICY_DENIED"]}"#, [1]),
        FilterCase(#"{"drop_reason_desc": ["POLICY_DENY"]}"#, []),
        FilterCase(#"{"traffic_direction": ["INGRESS"]}"#, [1, 4]),
        FilterCase(#"{"event_type": [{"type": 4}]}"#, [0, 2, 5]),
        FilterCase(#"{"event_type": [{"type": 4, "match_sub_type": true, "sub_type": 11}]}"#, [2]),
        FilterCase(#"{"event_type": [{"type": 1}, {"type": 129}]}"#, [1, 3]),
        FilterCase(#"{"event_type": [{}]}"#, [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"event_type": [{"match_sub_type": true, "sub_type": 133}]}"#, [1]),
        FilterCase(#"{"protocol": ["tcp"]}"#, [0, 2]),
        FilterCase(#"{"protocol": ["ICMP", "sctp"]}"#, [4, 5]),
        FilterCase(#"{"protocol": ["icmpv6"]}"#, []),
        FilterCase(#"{"protocol": ["udp"]}"#, [1, 3]),
        FilterCase(#"{"protocol": ["dns"]}"#, [3]),
        FilterCase(#"{"reply": [true]}"#, [3]),
        FilterCase(#"{"reply": [false]}"#, [0, 1, 4]),
        FilterCase(#"{"dns_query": ["^www\\.", "nothing"]}"#, [3]),
        FilterCase(#"{"tcp_flags": [{"SYN": true}]}"#, [0, 2]),
        FilterCase(#"{"tcp_flags": [{"SYN": true, "ACK": true}]}"#, [2]),
        FilterCase(#"{"tcp_flags": [{"NS": true}]}"#, []),
        FilterCase(#"{"node_name": ["node-*"]}"#, [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"node_name": ["default/node-a"]}"#, [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"node_name": ["default/"]}"#, [0, 1, 2, 3, 4, 5]),
        FilterCase(#"{"node_name": ["other/node-a", "node-b"]}"#, []),
        FilterCase(#"{"ip_version": ["IPv6"]}"#, []),
        FilterCase(#"{"ip_version": ["IPv4"]}"#, [0, 1, 2, 4, 5]),
        FilterCase(#"{"source_pod": ["shop/front"], "destination_port": ["443"]}"#, [2]),
    ]

    private func matching(_ matcher: FlowMatcher) -> [Int] {
        Sample.flows.indices.filter { matcher.matches(Sample.flows[$0], Sample.encoder) }
    }

    @Test("each field has its meaning", arguments: cases)
    func fields(filter: FilterCase) throws {
        let message = try Self.filter(filter.filter)
        // The resolver's flow has IPv6 at one end and IPv4 at the other, as no packet has.
        #expect(
            matching(try FlowMatcher(whitelist: [message], blacklist: [])).filter { $0 != 3 }
                == filter.flows.filter { $0 != 3 })
        if !filter.filter.contains("ip_version") {
            #expect(matching(try FlowMatcher(whitelist: [message], blacklist: [])) == filter.flows)
            let rest = Sample.flows.indices.filter { !filter.flows.contains($0) }
            #expect(matching(try FlowMatcher(whitelist: [], blacklist: [message])) == rest)
        }
    }

    /// What filters make of the verdicts that policies gave of the first two flows.
    static let verdictCases: [(String, [FlowPart], [FlowPart])] = [
        (#"{"event_type": [{"type": 5}]}"#, [.egressVerdict, .ingressVerdict], [.ingressVerdict]),
        (#"{"event_type": [{"type": 4}, {"type": 1}]}"#, [.event], [.event]),
        (#"{"verdict": ["DROPPED"]}"#, [], [.ingressVerdict, .event]),
        (#"{"verdict": ["FORWARDED"]}"#, [.egressVerdict, .ingressVerdict, .event], []),
        (#"{"traffic_direction": ["INGRESS"]}"#, [.ingressVerdict], [.ingressVerdict, .event]),
        (#"{"traffic_direction": ["EGRESS"]}"#, [.egressVerdict, .event], []),
        (#"{"drop_reason_desc": ["POLICY_DENIED"]}"#, [], [.ingressVerdict, .event]),
        (#"{"reply": [false]}"#, [.egressVerdict, .ingressVerdict, .event], [.ingressVerdict, .event]),
    ]

    @Test("verdicts of policies are flows of their own", arguments: verdictCases)
    func verdicts(filter: String, opened: [FlowPart], denied: [FlowPart]) throws {
        let matcher = try FlowMatcher(whitelist: [Self.filter(filter)], blacklist: [])
        for (flow, expected) in zip(Sample.flows, [opened, denied]) {
            let found = FlowPart.parts(of: flow).filter { matcher.matches(flow, Sample.encoder, part: $0) }
            #expect(found == expected)
        }
    }

    @Test("one of the whitelist and none of the blacklist")
    func lists() throws {
        let tcp = try Self.filter(#"{"protocol": ["tcp"]}"#)
        let dropped = try Self.filter(#"{"verdict": ["DROPPED"]}"#)
        let https = try Self.filter(#"{"destination_port": ["443"]}"#)
        #expect(matching(try FlowMatcher(whitelist: [], blacklist: [])) == [0, 1, 2, 3, 4, 5])
        #expect(matching(try FlowMatcher(whitelist: [tcp, dropped], blacklist: [https])) == [0, 1])
    }

    @Test("a flow is found by its name")
    func uuid() throws {
        var filter = HubbleFlowFilter()
        filter.uuid = [Sample.message(0).uuid]
        let matcher = try FlowMatcher(whitelist: [filter], blacklist: [])
        var other = Sample.flows[0]
        other.sequence = 9
        #expect(matcher.matches(Sample.flows[0], Sample.encoder) && !matcher.matches(other, Sample.encoder))
    }

    static let refused: [(String, String)] = [
        (
            #"{"source_ip": ["10.1.0"]}"#,
            "whitelist[0].source_ip[0]: '10.1.0' is neither an address nor a block of them"
        ),
        (
            #"{"destination_port": ["80", "http"]}"#,
            "whitelist[0].destination_port[1]: 'http' is no port from 1 to 65535"
        ),
        (
            #"{"source_label": ["a=b=c,("]}"#,
            "whitelist[0].source_label[0]: 'a=b=c,(' is no label selector, such as app=web or tier in (front, back)"
        ),
        (
            #"{"verdict": ["DROPPED", 99]}"#, "whitelist[0].verdict: [2, 99] has a value that this server does not know"
        ),
        (#"{"protocol": ["http"]}"#, "whitelist[0].protocol[0]: flows of Apus have no protocol 'http'"),
        (
            #"{"dns_query": ["("]}"#,
            "whitelist[0].dns_query[0]: '(' is no regular expression that is taken: a group does not end"
        ),
        (#"{"node_name": ["a/b/c"]}"#, "whitelist[0].node_name[0]: 'a/b/c' is no name of a node"),
        (#"{"node_name": ["a b"]}"#, "whitelist[0].node_name[0]: 'a b' is no name of a node"),
        (#"{"source_pod": [""]}"#, "whitelist[0].source_pod[0]: a name is missing"),
        (#"{"destination_service": ["a", ""]}"#, "whitelist[0].destination_service[1]: a name is missing"),
        (#"{"source_cluster_name": [""]}"#, "whitelist[0].source_cluster_name[0]: a name is missing"),
        (#"{"source_fqdn": ["."]}"#, "whitelist[0].source_fqdn[0]: a name is missing"),
        (
            #"{"destination_fqdn": ["*.test", "a b.test"]}"#,
            "whitelist[0].destination_fqdn[1]: 'a b.test' is no domain name, with or without stars"
        ),
        (
            #"{"destination_fqdn": ["a..test"]}"#,
            "whitelist[0].destination_fqdn[0]: 'a..test' is no domain name, with or without stars"
        ),
        (#"{"http_path": ["/"]}"#, "whitelist[0].http_path: flows of Apus have nothing to compare with it"),
        (
            #"{"http_status_code": ["5+"]}"#,
            "whitelist[0].http_status_code: flows of Apus have nothing to compare with it"
        ),
        (#"{"encrypted": [true]}"#, "whitelist[0].encrypted: flows of Apus have nothing to compare with it"),
        (
            #"{"experimental": {"cel_expression": ["true"]}}"#,
            "whitelist[0].experimental.cel_expression: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"http_method": ["x"]}"#, "whitelist[0].http_method: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"http_url": ["x"]}"#, "whitelist[0].http_url: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"trace_id": ["x"]}"#, "whitelist[0].trace_id: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"source_ip_xlated": ["x"]}"#,
            "whitelist[0].source_ip_xlated: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"node_labels": ["x"]}"#, "whitelist[0].node_labels: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"http_header": [{"key": "x"}]}"#,
            "whitelist[0].http_header: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"ip_trace_id": ["1"]}"#, "whitelist[0].ip_trace_id: flows of Apus have nothing to compare with it"
        ),
        (
            #"{"interface": [{"index": 1}]}"#, "whitelist[0].interface: flows of Apus have nothing to compare with it"
        ),
    ]

    @Test("what can't be understood or answered is refused by its field", arguments: refused)
    func refusals(filter: String, error: String) throws {
        let message = try Self.filter(filter)
        #expect(problem(of: { _ = try FlowMatcher(whitelist: [message], blacklist: []) }) == error)
    }

    @Test("more filters than can be asked of every flow are refused")
    func many() throws {
        let filters = [HubbleFlowFilter](repeating: HubbleFlowFilter(), count: 257)
        #expect(
            problem(of: { _ = try FlowMatcher(whitelist: filters, blacklist: []) })
                == "whitelist: 257 filters, and at most 256 are taken")
    }

    @Test("a field that is not known is refused, too")
    func unknown() throws {
        // Field 4000, a varint.
        let message = try HubbleFlowFilter(serializedBytes: [0x80, 0xfa, 0x01, 0x01] as [UInt8])
        #expect(
            problem(of: { _ = try FlowMatcher(whitelist: [], blacklist: [message]) })
                == "blacklist[0]: a field that this server does not know")
    }

    private func problem(of body: () throws -> Void) -> String? {
        do { try body() } catch { return "\(error)" }
        return nil
    }
}
