internal import Addressing
public import Flows
internal import HubbleFlows

/// Flows as log records of OpenTelemetry.
public struct OTLPLogFormat: FlowFormat {
    private let selection: FlowSelection
    private let encoder: FlowEncoder

    /// - Parameters:
    ///   - choice: which flows; what it says of fields is not asked.
    ///   - node: the name of this node.
    ///   - version: that of the agent.
    ///   - started: when the agent began to take in flows, in nanoseconds since 1970.
    public init(_ choice: FlowChoice, node: String, version: String, started: UInt64) {
        selection = choice.selection
        encoder = FlowEncoder(node: node, version: version, epoch: started)
    }

    public mutating func take(_ flow: Flow, now: UInt64, into output: inout ExportOutput) {
        guard selection.wants(flow, encoder) else { return }
        let record = OTLPLogRecord(flow: flow).object.text
        output.records.append(ExportRecord(record.utf8, events: flow.kind == .lost ? 0 : 1))
    }
}

/// A flow as a log record.
private struct OTLPLogRecord {
    /// SEVERITY_NUMBER_INFO and SEVERITY_NUMBER_WARN of OpenTelemetry's log data model.
    private enum Severity: Int {
        case info = 9
        case warn = 13
    }

    let flow: Flow

    var object: JSONObject {
        let severity: Severity = flow.kind == .lost || flow.verdict != .forwarded ? .warn : .info
        var object = JSONObject()
        object.add("timeUnixNano", "\(flow.time)")
        object.add("severityNumber", severity.rawValue)
        object.add("severityText", severity == .info ? "INFO" : "WARN")
        object.add("eventName", "apus.flow")
        object.add("body", OTLPAttributes.text(FlowText().line(flow)))
        object.add("attributes", attributes.list)
        return object
    }

    private var attributes: OTLPAttributes {
        var attributes = OTLPAttributes()
        attributes.add("apus.flow.kind", flow.kind.rawValue)
        if let loss = flow.loss {
            attributes.add("apus.lost.records", loss.count)
            attributes.add("apus.lost.place", loss.source.rawValue)
            return attributes
        }
        attributes.add("apus.flow.verdict", flow.verdict.rawValue)
        attributes.add("apus.flow.direction", flow.direction.rawValue)
        attributes.add("apus.flow.events", flow.count)
        addTuple(to: &attributes)
        Self.add(flow.source, "src", to: &attributes)
        Self.add(flow.destination, "dst", to: &attributes)
        addService(to: &attributes)
        attributes.add("apus.destination.names", flow.destinationNames)
        attributes.add("apus.drop.reason", flow.dropReason)
        attributes.add("apus.egress.rule", flow.egressRule?.description)
        attributes.add("apus.ingress.rule", flow.ingressRule?.description)
        addConnection(to: &attributes)
        addAnswer(to: &attributes)
        return attributes
    }

    private func addTuple(to attributes: inout OTLPAttributes) {
        let tuple = flow.tuple
        attributes.add("network.transport", tuple.ipProtocol.description.lowercased())
        attributes.add("network.type", tuple.source.address.isIPv4 ? "ipv4" : "ipv6")
        for (end, address) in [("source", tuple.source), ("destination", tuple.destination)] {
            attributes.add("\(end).address", "\(address.address)")
            if tuple.ipProtocol.hasPorts { attributes.add("\(end).port", address.port) }
        }
    }

    /// The names that OpenTelemetry's eBPF instrumentation has for the ends of a flow.
    private static func add(_ peer: Peer, _ end: String, to attributes: inout OTLPAttributes) {
        if peer.kind == .world { return }
        attributes.add("k8s.\(end).type", peer.kind == .pod ? "Pod" : peer.kind == .node ? "Node" : "Service")
        attributes.add("k8s.\(end).namespace", peer.namespace)
        attributes.add("k8s.\(end).name", peer.name)
        attributes.add("k8s.\(end).owner.type", peer.workload?.kind)
        attributes.add("k8s.\(end).owner.name", peer.workload?.name)
        attributes.add("k8s.\(end).node.name", peer.node)
    }

    private func addService(to attributes: inout OTLPAttributes) {
        guard let service = flow.service else { return }
        attributes.add("apus.service.namespace", service.namespace)
        attributes.add("apus.service.name", service.name)
        attributes.add("apus.service.port_name", service.portName)
        attributes.add("apus.service.address", "\(service.frontend.address)")
        attributes.add("apus.service.port", service.frontend.port)
    }

    private func addConnection(to attributes: inout OTLPAttributes) {
        if let counters = flow.counters {
            attributes.add("apus.sent.packets", counters.forward.packets)
            attributes.add("apus.sent.bytes", counters.forward.bytes)
            attributes.add("apus.received.packets", counters.reverse.packets)
            attributes.add("apus.received.bytes", counters.reverse.bytes)
        }
        if let duration = flow.duration { attributes.add("apus.duration_ns", duration) }
        if let handshake = flow.handshake { attributes.add("apus.tcp.handshake_ns", handshake) }
        if let again = flow.retransmissions {
            attributes.add("apus.sent.retransmissions", again.forward)
            attributes.add("apus.received.retransmissions", again.reverse)
        }
        attributes.add("apus.ending", flow.ending?.rawValue)
        attributes.add("apus.tcp.flags", flow.tcpFlags?.names ?? [])
        if let icmp = flow.icmp {
            attributes.add("apus.icmp.type", icmp.type)
            attributes.add("apus.icmp.code", icmp.code)
        }
    }

    private func addAnswer(to attributes: inout OTLPAttributes) {
        guard let answer = flow.dns else { return }
        attributes.add("dns.question.name", answer.query)
        attributes.add("apus.dns.type", answer.typeText)
        if answer.isAnswered { attributes.add("apus.dns.code", answer.codeText) }
        attributes.add("dns.answers", answer.addresses.map { "\($0)" })
        attributes.add("apus.dns.latency_ns", answer.latency)
    }
}
