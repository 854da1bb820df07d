import HubbleAPI
import SwiftProtobuf
import Testing

/// The numbers of fields that clients in the field have, by their published definitions: what was written in our own words
/// must not have others, which our own client would not notice.
@Suite struct FieldNumberTests {
    /// The number of the first field in a message's bytes (its tag without the wire type).
    private func number(_ message: some Message) throws -> Int {
        let bytes: [UInt8] = try message.serializedBytes()
        var (tag, shift) = (0, 0)
        for byte in bytes {
            tag |= Int(byte & 0x7f) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        return tag >> 3
    }

    private func flow(_ edit: (inout HubbleFlow) -> Void) throws -> Int { try number(HubbleFlow.with(edit)) }

    @Test func ofAFlow() throws {
        #expect(try flow { $0.time = Google_Protobuf_Timestamp() } == 1)
        #expect(try flow { $0.verdict = .forwarded } == 2)
        #expect(try flow { $0.dropReason = 133 } == 3)
        #expect(try flow { $0.ip.source = "10.0.0.1" } == 5)
        #expect(try flow { $0.l4.tcp.sourcePort = 1 } == 6)
        #expect(try flow { $0.source.podName = "a" } == 8)
        #expect(try flow { $0.destination.podName = "a" } == 9)
        #expect(try flow { $0.type = .l3L4 } == 10)
        #expect(try flow { $0.nodeName = "node" } == 11)
        #expect(try flow { $0.sourceNames = ["a"] } == 13)
        #expect(try flow { $0.destinationNames = ["a"] } == 14)
        #expect(try flow { $0.l7.latencyNs = 1 } == 15)
        #expect(try flow { $0.eventType.type = 4 } == 19)
        #expect(try flow { $0.sourceService.name = "a" } == 20)
        #expect(try flow { $0.destinationService.name = "a" } == 21)
        #expect(try flow { $0.trafficDirection = .ingress } == 22)
        #expect(try flow { $0.policyMatchType = 1 } == 23)
        #expect(try flow { $0.traceObservationPoint = .toEndpoint } == 24)
        #expect(try flow { $0.dropReasonDesc = .policyDenied } == 25)
        #expect(try flow { $0.isReply.value = true } == 26)
        #expect(try flow { $0.uuid = "a" } == 34)
        #expect(try flow { $0.traceReason = .new } == 36)
        #expect(try flow { $0.egressAllowedBy = [HubblePolicy()] } == 21001)
        #expect(try flow { $0.ingressAllowedBy = [HubblePolicy()] } == 21002)
        #expect(try flow { $0.egressDeniedBy = [HubblePolicy()] } == 21004)
        #expect(try flow { $0.ingressDeniedBy = [HubblePolicy()] } == 21005)
        #expect(try flow { $0.summary = "a" } == 100_000)
    }

    @Test func ofARequestForFlows() throws {
        func request(_ edit: (inout HubbleGetFlowsRequest) -> Void) throws -> Int {
            try number(HubbleGetFlowsRequest.with(edit))
        }
        #expect(try request { $0.number = 1 } == 1)
        #expect(try request { $0.follow = true } == 3)
        #expect(try request { $0.blacklist = [HubbleFlowFilter()] } == 5)
        #expect(try request { $0.whitelist = [HubbleFlowFilter()] } == 6)
        #expect(try request { $0.since = Google_Protobuf_Timestamp() } == 7)
        #expect(try request { $0.until = Google_Protobuf_Timestamp() } == 8)
        #expect(try request { $0.first = true } == 9)
        #expect(try request { $0.fieldMask = Google_Protobuf_FieldMask() } == 10)
    }

    /// Fields of other messages, in the order of their numbers; `-` is one that this server has no field for.
    private static let fields: [(any Message.Type, String)] = [
        (
            HubbleFlowFilter.self,
            """
            source_ip source_pod destination_ip destination_pod verdict event_type source_fqdn destination_fqdn \
            http_status_code source_label destination_label protocol source_port destination_port reply source_service \
            destination_service dns_query source_identity destination_identity http_method http_path tcp_flags node_name \
            ip_version source_workload destination_workload trace_id uuid traffic_direction http_url http_header \
            drop_reason_desc source_ip_xlated interface node_labels source_cluster_name destination_cluster_name \
            ip_trace_id encrypted
            """
        ),
        (HubbleEndpoint.self, "ID identity namespace labels pod_name workloads cluster_name"),
        (HubbleWorkload.self, "name kind"), (HubbleService.self, "name namespace"),
        (HubblePolicy.self, "name namespace labels revision kind"),
        (HubbleTCPFlags.self, "FIN SYN RST PSH ACK URG ECE CWR NS"),
        (HubbleTCP.self, "source_port destination_port flags"), (HubbleUDP.self, "source_port destination_port"),
        (HubbleSCTP.self, "source_port destination_port"), (HubbleICMPv4.self, "type code"),
        (HubbleICMPv6.self, "type code"), (HubbleIP.self, "source destination ipVersion"),
        (HubbleLayer4.self, "TCP UDP ICMPv4 ICMPv6 SCTP"), (HubbleLayer7.self, "type latency_ns"),
        (HubbleDNS.self, "query ips ttl cnames observation_source rcode qtypes rrtypes"),
        (HubbleCiliumEventType.self, "type sub_type"), (HubbleEventTypeFilter.self, "type match_sub_type sub_type"),
        (HubbleLostEvent.self, "source num_events_lost cpu first last"),
        (HubbleGetFlowsResponse.self, "flow node_status lost_events"),
        (
            HubbleServerStatusResponse.self,
            """
            num_flows max_flows seen_flows uptime_ns num_connected_nodes num_unavailable_nodes unavailable_nodes \
            version flows_rate
            """
        ),
        (HubbleNode.self, "name version address state tls uptime_ns num_flows max_flows seen_flows"),
        (HubbleNamespace.self, "cluster namespace"), (HubblePeerChangeNotification.self, "name address type tls"),
        (HubbleGetAgentEventsRequest.self, "number follow - - - - since until first"),
        (HubbleGetDebugEventsRequest.self, "number follow - - - - since until first"),
    ]

    @Test func ofAllOtherMessages() throws {
        for (message, names) in Self.fields {
            for (index, name) in names.split(separator: " ").enumerated() where name != "-" {
                #expect(try number(message, String(name)) == index + 1, "\(message).\(name)")
            }
        }
        #expect(try number(HubbleLayer7.self, "dns") == 100)
        #expect(try number(HubbleFlowFilter.self, "experimental") == 999)
        for (name, wanted) in [("node_name", 1000), ("time", 1001)] {
            #expect(try number(HubbleGetFlowsResponse.self, name) == wanted)
            #expect(try number(HubbleGetAgentEventsResponse.self, name) == wanted)
        }
    }

    /// The number of a field by its published name: that of any value that it takes.
    private func number(_ message: any Message.Type, _ name: String) throws -> Int? {
        let values = [
            "{}", "[{}]", "true", "[true]", "1", "[1]", #""1""#, #"["1"]"#, #""1970-01-01T00:00:01Z""#,
        ]
        for value in values {
            guard let filled = try? message.init(jsonString: "{\"\(name)\": \(value)}") else { continue }
            let found = try number(filled)
            if found > 0 { return found }
        }
        return nil
    }

    @Test func ofWhatIsCounted() {
        #expect(HubbleVerdict.dropped.rawValue == 2 && HubbleVerdict.audit.rawValue == 4)
        #expect(HubbleTrafficDirection.ingress.rawValue == 1 && HubbleTrafficDirection.egress.rawValue == 2)
        #expect(
            HubbleTraceObservationPoint.toStack.rawValue == 3 && HubbleTraceObservationPoint.toNetwork.rawValue == 11)
        #expect(HubbleTraceObservationPoint.toEndpoint.rawValue == 101)
        #expect(HubbleDropReason.policyDenied.rawValue == 133 && HubbleDropReason.policyDeny.rawValue == 181)
    }
}
