internal import Addressing
internal import Flows
internal import PrometheusText

/// The counters that Hubble's users graph, with its names and labels.
struct HubbleCounters: Sendable {
    private var flows: [[String]: UInt64] = [:]
    private var drops: [[String]: UInt64] = [:]
    private var flags: [[String]: UInt64] = [:]
    private var ports: [[String]: UInt64] = [:]
    private var messages: [[String]: UInt64] = [:]
    private var queries: [[String]: UInt64] = [:]
    private var responses: [[String]: UInt64] = [:]
    /// The places that the collector tells of are there from the start: alerts ask for a rise.
    private var losses: [[String]: UInt64] = [
        [HubbleNames.lossSource(.kernelRing)]: 0, [HubbleNames.lossSource(.collector)]: 0,
    ]
    /// How many ports and types of messages are told apart: both come from packets.
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Counts flows of a shape.
    ///
    /// - Parameter receiver: what they go to.
    mutating func add(_ shape: FlowShape, to receiver: HubbleNames.Receiver, _ count: UInt64) {
        if let source = shape.lossSource {
            losses[[HubbleNames.lossSource(source)], default: 0] += count
            return
        }
        let point = HubbleNames.observationPoint(shape.kind, to: receiver)
        flows[[HubbleNames.type(shape.kind), point, HubbleNames.verdict(shape.verdict)], default: 0] += count
        switch shape.kind {
        case .denied: addDrop(shape, count)
        case .opened: addOpening(shape, count)
        case .closed: addFlags(shape, count)
        case .dns: addAnswer(shape, count)
        case .audited, .active, .packet, .lost: break
        }
    }

    private mutating func addDrop(_ shape: FlowShape, _ count: UInt64) {
        guard let reason = shape.reason else { return }
        drops[[HubbleNames.dropReason(reason), HubbleNames.ipProtocol(shape.ipProtocol)], default: 0] += count
    }

    private mutating func addOpening(_ shape: FlowShape, _ count: UInt64) {
        if shape.ipProtocol == .tcp { flags[["SYN", family(shape)], default: 0] += count }
        let name = HubbleNames.ipProtocol(shape.ipProtocol)
        if shape.ipProtocol.hasPorts {
            // Servers at ports that clients get are too many to tell apart.
            add(&ports, [name, shape.port == 0 ? "other" : "\(shape.port)"], else: [name, "other"], count)
        } else if shape.icmpType != nil {
            ports[[name, "0"], default: 0] += count
        }
        if let type = shape.icmpType {
            let text = HubbleNames.icmpType(type, isIPv4: shape.isIPv4)
            add(&messages, [family(shape), text], else: [family(shape), "other"], count)
        }
    }

    /// A connection's record says which flags were seen, not how often; its first answer had SYN and ACK.
    private mutating func addFlags(_ shape: FlowShape, _ count: UInt64) {
        guard shape.ipProtocol == .tcp else { return }
        if shape.isAnswered { flags[["SYN-ACK", family(shape)], default: 0] += count }
        if shape.flags.contains(.fin) { flags[["FIN", family(shape)], default: 0] += count }
        if shape.flags.contains(.rst) { flags[["RST", family(shape)], default: 0] += count }
    }

    /// Types, and numbers of addresses, are what clients and resolvers make them.
    private mutating func addAnswer(_ shape: FlowShape, _ count: UInt64) {
        guard let answer = shape.answer else { return }
        add(&queries, ["", answer.typeText, "0"], else: ["", "other", "0"], count)
        guard answer.isAnswered else { return }
        let code = HubbleNames.responseCode(answer.code)
        let labels = [code, answer.typeText, "\(answer.addresses)"]
        add(&responses, labels, else: ["other", "other", "other"], count)
    }

    private func family(_ shape: FlowShape) -> String { HubbleNames.family(isIPv4: shape.isIPv4) }

    private func add(_ counts: inout [[String]: UInt64], _ labels: [String], else bucket: [String], _ count: UInt64) {
        let hasRoom = counts[labels] != nil || counts.count < limit
        counts[hasRoom ? labels : bucket, default: 0] += count
    }

    var families: [MetricFamily] {
        [
            family("hubble_flows_processed_total", ["type", "subtype", "verdict"], flows, "Flows that were seen."),
            family("hubble_drop_total", ["reason", "protocol"], drops, "Drops, by reason."),
            family("hubble_tcp_flags_total", ["flag", "family"], flags, "TCP connections that had a flag."),
            family("hubble_port_distribution_total", ["protocol", "port"], ports, "New flows, by destination port."),
            family("hubble_icmp_total", ["family", "type"], messages, "New exchanges of ICMP messages, by type."),
            family(
                "hubble_dns_queries_total", ["rcode", "qtypes", "ips_returned"], queries,
                "Questions to resolvers that were answered or given up."),
            family(
                "hubble_dns_responses_total", ["rcode", "qtypes", "ips_returned"], responses,
                "Answers of resolvers."),
            family("hubble_lost_events_total", ["source"], losses, "Flow records that were lost."),
        ]
    }

    private func family(
        _ name: String, _ labels: [String], _ counts: [[String]: UInt64], _ help: String
    ) -> MetricFamily {
        let samples = counts.map { values, count in
            MetricSample(.count(count), zip(labels, values).map { MetricLabel($0, $1) })
        }
        return MetricFamily(name, .counter, help, samples)
    }
}
