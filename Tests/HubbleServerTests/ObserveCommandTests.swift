import Flows
import HubbleAPI
import SwiftProtobuf
import Testing

/// A command of `hubble`'s, the filters that its version 1.19.4 makes of it, and what it is told of the sample's flows.
struct ObserveCommand: Sendable, CustomTestStringConvertible {
    let arguments: String
    let allowed: [String]
    let denied: [String]
    /// Events by the number of their record; `>` and `<` are what the policies of its source and destination said.
    let told: String

    /// Arguments whose filters are one for each end, or one alone.
    init(_ arguments: String, _ filters: String..., told: String) {
        self.arguments = arguments
        let isDenied = arguments.hasPrefix("--not")
        (allowed, denied) = isDenied ? ([], filters) : (filters, [])
        self.told = told
    }

    var testDescription: String { arguments }
}

/// The binary itself is not there to be run: these are its requests, as `--print-raw-filters` shows them.
@Suite("What hubble observe asks for", .serialized)
struct ObserveCommandTests {
    static let commands: [ObserveCommand] = [
        ObserveCommand("", told: "0> 0< 0 1< 1 2 3 4 5"),
        ObserveCommand(
            "--pod shop/cart", #"{"source_pod":["shop/cart"]}"#, #"{"destination_pod":["shop/cart"]}"#,
            told: "0> 0< 0 1< 1 4 5"),
        ObserveCommand(
            "-n kube-system", #"{"source_pod":["kube-system/"]}"#, #"{"destination_pod":["kube-system/"]}"#, told: "3"),
        ObserveCommand(
            "-A", #"{"source_pod":["/"]}"#, #"{"destination_pod":["/"]}"#, told: "0> 0< 0 1< 1 2 3 4 5"),
        ObserveCommand(
            "--from-namespace kube-system --to-namespace shop",
            #"{"source_pod":["kube-system/"],"destination_pod":["shop/"]}"#, told: "3"),
        ObserveCommand(
            "--service cart -n shop", #"{"source_service":["shop/cart"]}"#, #"{"destination_service":["shop/cart"]}"#,
            told: "0> 0< 0"),
        ObserveCommand(
            "--ip 10.1.0.2", #"{"source_ip":["10.1.0.2"]}"#, #"{"destination_ip":["10.1.0.2"]}"#,
            told: "0> 0< 0 1< 1 4 5"),
        ObserveCommand(
            "--fqdn www.example.com", #"{"source_fqdn":["www.example.com"]}"#,
            #"{"destination_fqdn":["www.example.com"]}"#, told: "2"),
        ObserveCommand(
            "--port 53", #"{"source_port":["53"]}"#, #"{"destination_port":["53"]}"#, told: "1< 1 3"),
        ObserveCommand(
            "--label app=cart", #"{"source_label":["app=cart"]}"#, #"{"destination_label":["app=cart"]}"#,
            told: "0> 0< 0 1< 1 4 5"),
        ObserveCommand(
            "--workload StatefulSet/cart", #"{"source_workload":[{"name":"cart","kind":"StatefulSet"}]}"#,
            #"{"destination_workload":[{"name":"cart","kind":"StatefulSet"}]}"#, told: "0> 0< 0 1< 1 4 5"),
        ObserveCommand(
            "--identity world", #"{"source_identity":[2]}"#, #"{"destination_identity":[2]}"#, told: "1< 1 2"),
        ObserveCommand(
            "--not --pod shop/front", #"{"source_pod":["shop/front"]}"#, #"{"destination_pod":["shop/front"]}"#,
            told: "1< 1 4"),
        ObserveCommand("-t policy-verdict", #"{"event_type":[{"type":5}]}"#, told: "0> 0< 1< 4"),
        ObserveCommand(
            "-t trace:to-network -t drop",
            #"{"event_type":[{"type":4,"match_sub_type":true,"sub_type":11},{"type":1}]}"#, told: "1 2"),
        ObserveCommand("-t l7", #"{"event_type":[{"type":129}]}"#, told: "3"),
        ObserveCommand("--tcp-flags SYN,ACK", #"{"tcp_flags":[{"SYN":true,"ACK":true}]}"#, told: "2"),
        ObserveCommand(
            "--verdict DROPPED --protocol udp", #"{"verdict":["DROPPED"],"protocol":["udp"]}"#, told: "1< 1"),
        ObserveCommand(
            "--not --verdict FORWARDED --not --port 53", #"{"verdict":["FORWARDED"],"source_port":["53"]}"#,
            #"{"verdict":["FORWARDED"],"destination_port":["53"]}"#, told: "0> 0< 0 1< 1 2 4 5"),
        ObserveCommand("--node-name node-a", #"{"node_name":["node-a"]}"#, told: "0> 0< 0 1< 1 2 3 4 5"),
        ObserveCommand("--traffic-direction ingress", #"{"traffic_direction":["INGRESS"]}"#, told: "0< 1< 1 4"),
        ObserveCommand(
            "--drop-reason-desc POLICY_DENIED", #"{"drop_reason_desc":["POLICY_DENIED"]}"#, told: "1< 1"),
        ObserveCommand(
            "--from-label tier=web --to-label app=cart",
            #"{"source_label":["tier=web"],"destination_label":["app=cart"]}"#, told: "0> 0< 0"),
        ObserveCommand(
            "--cluster default", #"{"source_cluster_name":["default"]}"#, #"{"destination_cluster_name":["default"]}"#,
            told: "0> 0< 0 1< 1 2 3 4 5"),
    ]

    /// What it asks for where it prints lines for people, unless it is told otherwise.
    static let mask = [
        "time", "verdict", "ethernet", "IP", "l4", "source.identity", "source.namespace", "source.pod_name",
        "destination.identity", "destination.namespace", "destination.pod_name", "Type", "node_name", "l7",
        "event_type", "source_service", "destination_service", "is_reply", "Summary", "ip_trace_id",
    ]

    /// The sample with a second between each and the next, by which they are known.
    private static let records = Sample.flows.enumerated().map { index, flow in
        var flow = flow
        flow.time += UInt64(index) * 1_000_000_000
        return flow
    }

    private static func name(_ flow: HubbleFlow) -> String {
        let number = flow.time.seconds - Int64(Sample.time / 1_000_000_000)
        guard flow.eventType.type == 5, flow.verdict != .audit else { return "\(number)" }
        return "\(number)\(flow.trafficDirection == .egress ? ">" : "<")"
    }

    @Test("older clients ask for fields in another place; the newer one counts")
    func olderMasks() async throws {
        try await Served.run(flows: Self.records) { served in
            try await served.withClient { client in
                var request = HubbleGetFlowsRequest.with { $0.number = 1 }
                request.experimental.fieldMask.paths = ["verdict"]
                let wanted = HubbleFlow.with { $0.verdict = .forwarded }
                #expect(try await flows(client, request).map(\.flow) == [wanted])
                request.fieldMask.paths = ["node_name"]
                let newer = try await flows(client, request).map(\.flow)
                #expect(newer == [HubbleFlow.with { $0.nodeName = "node-a" }])
            }
        }
    }

    @Test("each command is told what it asks for, with all that it prints")
    func commands() async throws {
        try await Served.run(flows: Self.records) { served in
            try await served.withClient { client in
                for command in Self.commands {
                    var request = HubbleGetFlowsRequest()
                    request.number = 20
                    request.fieldMask.paths = Self.mask
                    request.whitelist = try command.allowed.map { try HubbleFlowFilter(jsonString: $0) }
                    request.blacklist = try command.denied.map { try HubbleFlowFilter(jsonString: $0) }
                    let told = try await flows(client, request).map(\.flow)
                    #expect(told.map(Self.name).joined(separator: " ") == command.told, "\(command.arguments)")
                    #expect(
                        told.allSatisfy { !$0.summary.isEmpty && $0.hasEventType && $0.hasIp && !$0.nodeName.isEmpty })
                }
            }
        }
    }
}
