internal import Addressing
package import Flows
package import HubbleAPI
internal import SwiftProtobuf

/// Writes flows as Hubble's messages.
///
/// A record of Apus stands for a connection or for what is asked of it, one of Hubble's for a packet: docs/hubble.md
/// has what becomes of each field.
package struct FlowEncoder: Sendable {
    /// The cluster's name in Hubble; Apus knows no other.
    package static let cluster = "default"

    package let node: String
    package let version: String
    /// Tells flows of this agent's life from those of its others: nanoseconds since 1970.
    package let epoch: UInt64
    /// What rules ask for.
    let match: PolicyMatch.Lookup

    package init(
        node: String, version: String, epoch: UInt64, match: @escaping PolicyMatch.Lookup = { _ in .none }
    ) {
        self.node = node
        self.version = version
        self.epoch = epoch
        self.match = match
    }

    /// What is sent of a record: a flow, or that there are some missing.
    package func response(_ flow: Flow, _ part: FlowPart = .event) -> HubbleGetFlowsResponse {
        var response = HubbleGetFlowsResponse()
        response.nodeName = flow.node
        response.time = Self.time(flow.time)
        if let loss = flow.loss {
            response.lostEvents = Self.loss(loss)
        } else {
            response.flow = encode(flow, part)
        }
        return response
    }

    /// A flow; not for records of loss.
    package func encode(_ flow: Flow, _ part: FlowPart = .event) -> HubbleFlow {
        let sight = FlowSight(flow: flow, part: part, encoder: self)
        var message = HubbleFlow()
        message.time = Self.time(flow.time)
        message.uuid = sight.uuid
        message.emitter.name = "Apus"
        message.emitter.version = version
        message.nodeName = flow.node
        message.verdict = sight.verdict
        message.trafficDirection = sight.trafficDirection
        addEnds(sight, to: &message)
        addKind(sight, to: &message)
        addPolicies(sight, to: &message)
        message.summary = FlowSummary.text(flow, part)
        return message
    }

    private func addEnds(_ sight: FlowSight, to message: inout HubbleFlow) {
        let tuple = sight.tuple
        message.ip.source = "\(tuple.source.address)"
        message.ip.destination = "\(tuple.destination.address)"
        message.ip.ipVersion = sight.ipVersion
        message.l4 = Self.layer4(sight.flow, tuple)
        message.source = endpoint(sight.source)
        message.destination = endpoint(sight.destination)
        if let service = sight.sourceService, service.name != nil { message.sourceService = Self.service(service) }
        if let service = sight.destinationService, service.name != nil {
            message.destinationService = Self.service(service)
        }
        message.sourceNames = sight.sourceNames
        message.destinationNames = sight.destinationNames
    }

    private func addKind(_ sight: FlowSight, to message: inout HubbleFlow) {
        let flow = sight.flow
        message.type = flow.kind == .dns ? .l7 : .l3L4
        if let event = sight.eventType { message.eventType = event }
        if let isReply = sight.isReply { message.isReply.value = isReply }
        message.policyMatchType = sight.policyMatch.rawValue
        message.dropReasonDesc = sight.dropReason
        message.dropReason = UInt32(message.dropReasonDesc.rawValue)
        guard sight.part == .event else { return }
        switch flow.kind {
        case .opened, .closed, .active, .packet:
            message.traceObservationPoint = sight.trace.point
            message.traceReason =
                flow.kind == .opened ? .new : flow.kind == .packet && sight.isAnswer ? .reply : .established
        case .dns: message.l7 = Self.layer7(flow)
        case .denied, .audited, .lost: break
        }
    }

    /// A verdict names the policies of its own direction, an event those of both; no policy is asked about an answer.
    private func addPolicies(_ sight: FlowSight, to message: inout HubbleFlow) {
        let flow = sight.flow
        if flow.kind == .packet && sight.isAnswer { return }
        func policies(_ direction: Flow.Direction) -> [HubblePolicy] {
            if let own = sight.part.direction, own != direction { return [] }
            return [flow.rule(direction)].compactMap { $0.flatMap(Self.policy) }
        }
        let decides = flow.kind == .denied || flow.kind == .audited
        let (egress, ingress) = (policies(.egress), policies(.ingress))
        if decides && flow.direction == .egress {
            message.egressDeniedBy = egress
        } else {
            message.egressAllowedBy = egress
        }
        if decides && flow.direction == .ingress {
            message.ingressDeniedBy = ingress
        } else {
            message.ingressAllowedBy = ingress
        }
    }

    /// A UUID of version 8 (RFC 9562): the agent's epoch, the part and the record's number.
    func uuid(_ flow: Flow, _ part: FlowPart) -> String {
        let high = (epoch & 0xffff_ffff_ffff_0000) | 0x8000 | (epoch & 0xfff)
        let low = 0x8000_0000_0000_0000 | part.rawValue << 60 | (flow.sequence & 0x0fff_ffff_ffff_ffff)
        let digits = hex(high) + hex(low)
        var parts: [Substring] = []
        var rest = digits[...]
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return parts.joined(separator: "-")
    }

    private func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private func endpoint(_ peer: Peer) -> HubbleEndpoint {
        var endpoint = HubbleEndpoint()
        endpoint.clusterName = Self.cluster
        let identity = Identity(peer, node: node)
        endpoint.identity = identity.number
        endpoint.labels = identity.labels
        guard peer.kind == .pod else { return endpoint }
        endpoint.namespace = peer.namespace ?? ""
        endpoint.podName = peer.name ?? ""
        if let workload = peer.workload {
            endpoint.workloads = [HubbleWorkload.with { ($0.kind, $0.name) = (workload.kind, workload.name) }]
        }
        return endpoint
    }
}

extension FlowEncoder {
    static func time(_ nanoseconds: UInt64) -> Google_Protobuf_Timestamp {
        Google_Protobuf_Timestamp(
            seconds: Int64(nanoseconds / 1_000_000_000), nanos: Int32(nanoseconds % 1_000_000_000))
    }

    static func verdict(_ verdict: Flow.Verdict) -> HubbleVerdict {
        switch verdict {
        case .forwarded: .forwarded
        case .dropped: .dropped
        case .audit: .audit
        }
    }

    private static func loss(_ loss: FlowLoss) -> HubbleLostEvent {
        var event = HubbleLostEvent()
        event.numEventsLost = loss.count
        event.source =
            switch loss.source {
            case .kernelRing: .perfEventRingBuffer
            case .collector, .follower: .observerEventsQueue
            case .store: .hubbleRingBuffer
            }
        return event
    }

    private static func service(_ service: FlowService) -> HubbleService {
        HubbleService.with {
            $0.name = service.name ?? ""
            $0.namespace = service.namespace ?? ""
        }
    }

    private static func policy(_ rule: RuleReference) -> HubblePolicy? {
        guard let parts = rule.parts else { return nil }
        return HubblePolicy.with {
            $0.kind = parts.kind
            $0.namespace = parts.namespace
            $0.name = parts.name
            $0.labels = ["apus:rule=\(parts.place)"]
        }
    }

    private static func layer4(_ flow: Flow, _ tuple: FlowTuple) -> HubbleLayer4 {
        var layer = HubbleLayer4()
        let (source, destination) = (UInt32(tuple.source.port), UInt32(tuple.destination.port))
        switch tuple.ipProtocol {
        case .tcp:
            layer.tcp.sourcePort = source
            layer.tcp.destinationPort = destination
            if let flags = flow.tcpFlags { layer.tcp.flags = HubbleTCPFlags(flags) }
        case .udp:
            layer.udp = HubbleUDP.with { ($0.sourcePort, $0.destinationPort) = (source, destination) }
        case .sctp:
            layer.sctp = HubbleSCTP.with { ($0.sourcePort, $0.destinationPort) = (source, destination) }
        case .icmp:
            layer.icmpv4 = HubbleICMPv4.with {
                ($0.type, $0.code) = (UInt32(flow.icmp?.type ?? 0), UInt32(flow.icmp?.code ?? 0))
            }
        case .icmpv6:
            layer.icmpv6 = HubbleICMPv6.with {
                ($0.type, $0.code) = (UInt32(flow.icmp?.type ?? 0), UInt32(flow.icmp?.code ?? 0))
            }
        default: break
        }
        return layer
    }

    private static func layer7(_ flow: Flow) -> HubbleLayer7 {
        var layer = HubbleLayer7()
        guard let answer = flow.dns else { return layer }
        layer.type = answer.isAnswered ? .response : .request
        layer.latencyNs = answer.latency
        layer.dns.query = answer.query + "."
        layer.dns.ips = answer.addresses.map { "\($0)" }
        layer.dns.ttl = answer.lifetime
        layer.dns.rcode = UInt32(answer.code)
        layer.dns.qtypes = [answer.typeText]
        layer.dns.observationSource = "apus"
        return layer
    }
}

extension HubbleTCPFlags {
    init(_ flags: TCPFlags) {
        self.init()
        fin = flags.contains(.fin)
        syn = flags.contains(.syn)
        rst = flags.contains(.rst)
        psh = flags.contains(.psh)
        ack = flags.contains(.ack)
        urg = flags.contains(.urg)
        ece = flags.contains(.ece)
        cwr = flags.contains(.cwr)
    }

    /// All that are set; NS is none of a TCP header's byte, so nothing has it.
    var set: TCPFlags? {
        guard !ns else { return nil }
        var flags: TCPFlags = []
        let all: [(Bool, TCPFlags)] = [
            (fin, .fin), (syn, .syn), (rst, .rst), (psh, .psh), (ack, .ack), (urg, .urg), (ece, .ece), (cwr, .cwr),
        ]
        for (isSet, flag) in all where isSet { flags.insert(flag) }
        return flags
    }
}
