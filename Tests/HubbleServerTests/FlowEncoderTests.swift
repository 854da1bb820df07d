import Addressing
import Flows
import HubbleAPI
import HubbleFlows
import SwiftProtobuf
import TestSupport
import Testing

@Suite("A flow as Hubble's message")
struct FlowEncoderTests {
    @Test("an opening names both ends, the Service and the policies that allowed it")
    func opening() {
        let flow = Sample.message(0)
        #expect(flow.verdict == .forwarded && flow.type == .l3L4 && flow.nodeName == "node-a")
        #expect(flow.time.seconds == 1_772_361_062 && flow.time.nanos == 123_456_789)
        #expect(flow.ip.source == "10.1.0.1" && flow.ip.destination == "10.1.0.2" && flow.ip.ipVersion == .ipv4)
        #expect(flow.l4.tcp.sourcePort == 40000 && flow.l4.tcp.destinationPort == 80 && flow.l4.tcp.flags.syn)
        #expect(flow.source.namespace == "shop" && flow.source.podName == "front-1")
        #expect(flow.source.workloads.map(\.name) == ["front"] && flow.source.workloads[0].kind == "Deployment")
        #expect(
            flow.source.labels == ["k8s:app=front", "k8s:io.kubernetes.pod.namespace=shop", "k8s:tier=web"])
        #expect(flow.destinationService.name == "cart" && flow.destinationService.namespace == "shop")
        #expect(flow.egressAllowedBy.map(\.name) == ["front-out"] && flow.egressAllowedBy[0].namespace == "shop")
        #expect(flow.ingressAllowedBy.map(\.kind) == ["ClusterNetworkPolicy"])
        #expect(flow.ingressAllowedBy[0].labels == ["apus:rule=ingress[0] \"allow\""])
        #expect(flow.egressDeniedBy.isEmpty && flow.ingressDeniedBy.isEmpty)
        #expect(flow.hasIsReply && !flow.isReply.value && flow.trafficDirection == .egress)
        #expect(flow.traceObservationPoint == .toEndpoint && flow.traceReason == .new)
        #expect(flow.eventType.type == 4 && flow.eventType.subType == 0 && flow.summary == "TCP Flags: SYN")
    }

    @Test("a denial says why and by which policy")
    func denial() {
        let flow = Sample.message(1)
        #expect(flow.verdict == .dropped && flow.dropReasonDesc == .policyDenied && flow.dropReason == 133)
        #expect(flow.ingressDeniedBy.map(\.name) == ["default-deny"] && flow.ingressAllowedBy.isEmpty)
        #expect(flow.trafficDirection == .ingress && flow.eventType.type == 1 && flow.eventType.subType == 133)
        #expect(flow.source.labels == ["reserved:world"] && flow.source.identity == 2)
        #expect(flow.l4.udp.destinationPort == 53 && flow.summary == "UDP; 3 times; policy_isolated")
    }

    @Test("an end says what went each way, and is of no direction")
    func closing() {
        let flow = Sample.message(2)
        #expect(!flow.hasIsReply && flow.traceReason == .established && flow.traceObservationPoint == .toNetwork)
        #expect(flow.destinationNames == ["www.example.com", "example.com"])
        #expect(
            flow.summary == "TCP Flags: SYN, ACK, FIN; closed, 5 packets 600 B out, 4 packets 900 B back")
    }

    @Test("a packet on the way back comes from the other end, and no policy was asked about it")
    func packets() {
        let there = Sample.encoder.encode(Sample.packet(\.forward))
        #expect(there.source.podName == "front-1" && !there.isReply.value && there.traceReason == .established)
        #expect(there.egressAllowedBy.map(\.name) == ["front-out"] && there.ingressAllowedBy.isEmpty)
        let back = Sample.encoder.encode(Sample.packet(\.reverse))
        #expect(back.source.podName == "cart-7" && back.isReply.value && back.traceReason == .reply)
        #expect(back.egressAllowedBy.isEmpty && back.ingressAllowedBy.isEmpty)
    }

    @Test("the answer to a question comes from the resolver")
    func answer() {
        let flow = Sample.message(3)
        #expect(flow.type == .l7 && flow.l7.type == .response && flow.l7.latencyNs == 250_000)
        #expect(flow.source.podName == "coredns-1" && flow.destination.podName == "front-1")
        #expect(flow.ip.source == "fd00::53" && flow.l4.udp.sourcePort == 53 && flow.isReply.value)
        #expect(flow.l7.dns.query == "www.example.com." && flow.l7.dns.ips == ["198.51.100.7"])
        #expect(flow.l7.dns.qtypes == ["A"] && flow.l7.dns.ttl == 30 && flow.eventType.type == 129)
        #expect(flow.summary == "DNS Answer \"198.51.100.7\" TTL: 30 (www.example.com. A)")
    }

    @Test("a question that nobody answered is the pod's")
    func question() {
        let flow = Sample.encoder.encode(
            Sample.flow(.dns, Sample.front, Sample.dns, .udp, port: 53) {
                $0.dns = DNSAnswer(query: "a.test", type: 28, code: 0, latency: 5, isAnswered: false)
            })
        #expect(flow.l7.type == .request && flow.source.podName == "front-1" && !flow.isReply.value)
        #expect(flow.summary == "DNS Query a.test. AAAA, unanswered")
    }

    @Test("what an audited policy would have dropped")
    func audit() {
        let flow = Sample.message(4)
        #expect(
            flow.verdict == .audit && flow.eventType.type == 5 && flow.ingressDeniedBy.map(\.name) == ["default-deny"])
        #expect(flow.source.labels == ["reserved:host"] && flow.source.identity == 1 && flow.source.podName.isEmpty)
        #expect(flow.l4.icmpv4.type == 8 && flow.summary == "ICMPv4 EchoRequest; policy_isolated")
    }

    @Test("messages of ICMP are echoes, or numbers")
    func messages() {
        let cases: [(IPProtocol, UInt8, UInt8, String)] = [
            (.icmp, 8, 0, "ICMPv4 EchoRequest"), (.icmp, 0, 0, "ICMPv4 EchoReply"),
            (.icmp, 3, 1, "ICMPv4 type 3 code 1"), (.icmpv6, 128, 0, "ICMPv6 EchoRequest"),
            (.icmpv6, 129, 0, "ICMPv6 EchoReply"), (.icmpv6, 8, 0, "ICMPv6 type 8 code 0"),
        ]
        for (ipProtocol, type, code, text) in cases {
            let flow = Sample.flow(.opened, Sample.front, Sample.cart, ipProtocol) {
                $0.icmp = ICMPMessage(type: type, code: code)
            }
            #expect(Sample.encoder.encode(flow).summary == text)
        }
    }

    @Test("what each policy said is a flow of its own, before the event")
    func verdicts() {
        #expect(FlowPart.parts(of: Sample.flows[0]) == [.egressVerdict, .ingressVerdict, .event])
        #expect(FlowPart.parts(of: Sample.flows[1]) == [.ingressVerdict, .event])
        for flow in Sample.flows.dropFirst(2) { #expect(FlowPart.parts(of: flow) == [.event]) }
        let match: PolicyMatch.Lookup = { rule in rule.parts?.kind == "NetworkPolicy" ? .peersAndPorts : .all }
        let encoder = FlowEncoder(node: "node-a", version: "1.2.3", epoch: Sample.time, match: match)
        let flows = [
            encoder.encode(Sample.flows[0], .egressVerdict), encoder.encode(Sample.flows[0], .ingressVerdict),
            encoder.encode(Sample.flows[1], .ingressVerdict),
        ]
        #expect(flows.allSatisfy { $0.eventType.type == 5 && $0.eventType.subType == 0 && $0.type == .l3L4 })
        #expect(flows.allSatisfy { $0.hasIsReply && !$0.isReply.value && $0.traceReason == .unknown })
        #expect(flows.map(\.trafficDirection) == [.egress, .ingress, .ingress])
        #expect(flows.map(\.verdict) == [.forwarded, .forwarded, .dropped])
        #expect(flows.map(\.policyMatchType) == [2, 4, 2])
        #expect(flows.map(\.dropReason) == [0, 0, 133])
        #expect(flows.map { $0.egressAllowedBy.map(\.name) } == [["front-out"], [], []])
        #expect(flows.map { $0.ingressAllowedBy.map(\.name) } == [[], ["guard"], []])
        #expect(flows.map { $0.ingressDeniedBy.map(\.name) } == [[], [], ["default-deny"]])
        #expect(flows.map(\.summary) == ["TCP Flags: SYN", "TCP Flags: SYN", "UDP; 3 times"])
        #expect(encoder.encode(Sample.flows[0]).policyMatchType == 0)
        let names = FlowPart.allCases.map { encoder.encode(Sample.flows[0], $0).uuid }
        #expect(Set(names).count == 3 && names.allSatisfy { "89ab".contains($0.split(separator: "-")[3].prefix(1)) })
    }

    @Test("what lets out says so, also where the other end denies; other drops are no policy's")
    func verdictsOfDrops() {
        let denied = Sample.flow(.denied, Sample.front, Sample.cart) {
            ($0.direction, $0.dropReason) = (.ingress, "policy_denied")
            $0.egressRule = RuleReference("NetworkPolicy/shop/front-out/egress/2")
            $0.ingressRule = RuleReference("ClusterNetworkPolicy//guard/ingress/0/deny")
        }
        #expect(FlowPart.parts(of: denied) == [.egressVerdict, .ingressVerdict, .event])
        let (out, inwards) = (
            Sample.encoder.encode(denied, .egressVerdict), Sample.encoder.encode(denied, .ingressVerdict)
        )
        #expect(out.verdict == .forwarded && out.egressAllowedBy.map(\.name) == ["front-out"] && out.dropReason == 0)
        #expect(inwards.verdict == .dropped && inwards.dropReasonDesc == .policyDeny && inwards.dropReason == 181)
        let cases: [(String, [FlowPart])] = [
            ("policy_missing", [.egressVerdict, .event]), ("no_backend", [.event]), ("invalid_source", [.event]),
        ]
        for (reason, parts) in cases {
            let flow = Sample.flow(.denied, Sample.front, Sample.cart) { $0.dropReason = reason }
            #expect(FlowPart.parts(of: flow) == parts, "\(reason)")
        }
    }

    @Test("where a connection was seen: at a pod of this node, at the node, or on its way out")
    func places() {
        let other = Peer(address: ip("192.0.2.2"), kind: .node, name: "node-b")
        let places: [(Peer, HubbleTraceObservationPoint, Int32)] = [
            (Sample.cart, .toEndpoint, 0), (Sample.node, .toStack, 3), (Sample.dns, .toNetwork, 11),
            (other, .toNetwork, 11), (Sample.world, .toNetwork, 11),
        ]
        for (peer, point, number) in places {
            let flow = Sample.encoder.encode(Sample.flow(.opened, Sample.front, peer))
            #expect(flow.traceObservationPoint == point && flow.eventType.subType == number, "\(peer)")
        }
    }

    @Test("records that are missing keep their number and the place where they were lost")
    func losses() {
        let places: [(FlowLoss.Source, HubbleLostEventSource)] = [
            (.kernelRing, .perfEventRingBuffer), (.collector, .observerEventsQueue),
            (.follower, .observerEventsQueue), (.store, .hubbleRingBuffer),
        ]
        for (place, source) in places {
            let response = Sample.encoder.response(.lost(7, by: place, time: Sample.time, node: "node-a"))
            #expect(response.lostEvents.numEventsLost == 7 && response.lostEvents.source == source)
            #expect(response.nodeName == "node-a")
        }
    }

    @Test("reasons of the data path have the numbers that Hubble has for them")
    func reasons() {
        let reasons: [(String, Int)] = [
            ("invalid_source_mac", 130), ("invalid_source", 132), ("unknown_endpoint", 132), ("truncated", 135),
            ("malformed", 134), ("unsupported", 139), ("fragment", 175), ("policy_isolated", 133),
            ("policy_denied", 181), ("policy_missing", 133), ("no_backend", 158), ("source_port", 167),
            ("connection_failed", 155), ("no_local_backend", 158), ("no_source", 167), ("ports_exhausted", 167),
            ("source_range", 177),
            ("invalid_destination", 134), ("something_new", 134),
        ]
        for (reason, number) in reasons {
            let flow = Sample.encoder.encode(
                Sample.flow(.denied, Sample.front, Sample.cart) { $0.dropReason = reason })
            #expect(flow.dropReasonDesc.rawValue == number, "\(reason)")
        }
    }

    @Test("equal labels make equal identities, others others; flows have names of their own")
    func identities() {
        var other = Sample.flows[0]
        other.sequence = 2
        let (one, two) = (Sample.encoder.encode(Sample.flows[0]), Sample.encoder.encode(other))
        #expect(one.source.identity == two.source.identity && one.source.identity != one.destination.identity)
        #expect(one.source.identity >= 65_536 && one.source.identity < 1 << 24)
        #expect(one.uuid != two.uuid && one.uuid.count == 36 && one.uuid.split(separator: "-")[2].hasPrefix("8"))
    }

    @Test("of a flow only the fields that were asked for are sent")
    func fields() {
        func chosen(_ paths: [String]) -> HubbleFlow {
            var flow = Sample.message(0)
            FieldChoice(paths).apply(to: &flow)
            return flow
        }
        #expect(chosen([]) == Sample.message(0))
        let some = chosen(["source.pod_name", "verdict", "ip_trace_id", "ethernet", "no.such.path"])
        let wanted = HubbleFlow.with {
            $0.source.podName = "front-1"
            $0.verdict = .forwarded
        }
        #expect(some == wanted)
        let whole = chosen(["source", "source.labels", "l4", "egress_allowed_by"])
        #expect(whole.source == Sample.message(0).source && whole.l4 == Sample.message(0).l4)
        #expect(whole.egressAllowedBy == Sample.message(0).egressAllowedBy && !whole.hasDestination)
        #expect(chosen(["no_such_field"]) == HubbleFlow())
    }

    @Test("who shows verdicts of policies to people gets what they said")
    func fieldsOfVerdicts() {
        func chosen(_ part: FlowPart, _ paths: [String], showsVerdicts: Bool = true) -> HubbleFlow {
            var flow = Sample.encoder.encode(Sample.flows[0], part)
            FieldChoice(paths, showsVerdicts: showsVerdicts).apply(to: &flow)
            return flow
        }
        let verdict = chosen(.ingressVerdict, ObserveCommandTests.mask)
        #expect(verdict.trafficDirection == .ingress && verdict.ingressAllowedBy.map(\.name) == ["guard"])
        #expect(verdict.source.labels.isEmpty && verdict.uuid.isEmpty && !verdict.hasEmitter)
        let others = [
            chosen(.event, ObserveCommandTests.mask),
            chosen(.ingressVerdict, ObserveCommandTests.mask, showsVerdicts: false),
            chosen(.ingressVerdict, ["event_type", "verdict"]),
        ]
        for flow in others { #expect(flow.trafficDirection == .unknown && flow.ingressAllowedBy.isEmpty) }
    }
}
