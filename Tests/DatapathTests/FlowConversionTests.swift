import Addressing
@testable import Datapath
import Flows
import Testing

@Suite struct FlowConversions {
    private static let tuple = FlowTuple(
        source: SocketAddress(IPAddress("10.1.0.1")!, 40_000), destination: SocketAddress(IPAddress("10.1.0.2")!, 80),
        ipProtocol: .tcp)
    private static let offset: Int64 = 1_700_000_000_000_000_000

    @Test(arguments: [
        (EventKind.opened, Flow.Kind.opened, Flow.Verdict.forwarded), (.denied, .denied, .dropped),
        (.closed, .closed, .forwarded),
    ])
    func everyKindOfRecordHasItsKindAndVerdict(kind: EventKind, expected: Flow.Kind, verdict: Flow.Verdict) {
        let flow = Flow(event(kind), node: "node-1", clockOffset: Self.offset)
        #expect(flow.kind == expected && flow.verdict == verdict && flow.node == "node-1")
        #expect(flow.time == UInt64(Self.offset) + 5000 && flow.tuple == Self.tuple)
    }

    @Test func onlyAClosedConnectionHasADuration() {
        var closed = event(.closed)
        closed.openedAt = 2000
        closed.ending = .reset
        closed.forward = TrafficCount(packets: 3, bytes: 300)
        let flow = Flow(closed, node: "", clockOffset: 0)
        #expect(flow.duration == 3000 && flow.ending == .reset)
        #expect(flow.counters?.forward == FlowCounters.Way(packets: 3, bytes: 300))
        var opened = event(.opened)
        opened.openedAt = 2000
        #expect(Flow(opened, node: "", clockOffset: 0).duration == nil)
    }

    @Test func aDenialStandsForAtLeastOnePacket() {
        var denied = event(.denied)
        denied.reason = .policyDenied
        #expect(Flow(denied, node: "", clockOffset: 0).count == 1)
        denied.count = 7
        let flow = Flow(denied, node: "", clockOffset: 0)
        #expect(flow.count == 7 && flow.dropReason == "policy_denied")
    }

    @Test func flagsBelongToTCPAndMessagesToICMP() {
        var event = DatapathEvent(
            kind: .opened, time: 1,
            tuple: FlowTuple(source: Self.tuple.source, destination: Self.tuple.destination, ipProtocol: .icmp),
            direction: .ingress)
        event.icmp = ICMPTypeAndCode(type: 8, code: 0)
        let flow = Flow(event, node: "", clockOffset: 0)
        #expect(flow.tcpFlags == nil && flow.icmp == ICMPMessage(type: 8, code: 0) && flow.direction == .ingress)
    }

    private func event(_ kind: EventKind) -> DatapathEvent {
        DatapathEvent(kind: kind, time: 5000, tuple: Self.tuple, direction: .egress)
    }
}
