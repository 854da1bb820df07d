import Addressing
import FlowExport
import Flows
import TestSupport
import Testing

@Suite("The policy log")
struct PolicyLogTests {
    private static let front = Pod("front-1", "10.1.0.1", node: "node-a").peer
    private static let cart = Pod("cart-1", "10.1.0.2", node: "node-b").peer
    private static let lone = Peer(address: ip("fd00::7"), kind: .pod, namespace: "shop", name: "lone", node: "node-a")
    private static let node = Peer(address: ip("192.0.2.1"), kind: .node, name: "node-b")
    private static let world = Peer(address: ip("198.51.100.1"))
    private static let second: UInt64 = 1_000_000_000

    private static func log(
        allow: PolicyLogChoice.Scope = .all, deny: PolicyLogChoice.Scope = .all,
        _ limits: PolicyLogFormat.Limits = PolicyLogFormat.Limits(),
        policies: Set<PolicyLogChoice.Policy> = [], namespaces: Set<String> = []
    ) -> PolicyLogFormat {
        var choice = PolicyLogChoice()
        (choice.allow, choice.deny, choice.policies, choice.namespaces) = (allow, deny, policies, namespaces)
        var format = PolicyLogFormat(limits) { [choice] in choice }
        _ = format.begin()
        return format
    }

    private static func allowed(
        _ source: Peer, _ destination: Peer, egress: String? = nil, ingress: String? = nil,
        _ edit: (inout Flow) -> Void = { _ in }
    ) -> Flow {
        flow(.opened, source, destination) {
            $0.time = 1_772_361_062_123_456_789
            $0.egressRule = egress.map { RuleReference("NetworkPolicy/shop/\($0)/egress/0") }
            $0.ingressRule = ingress.map { RuleReference("NetworkPolicy/shop/\($0)/ingress/1") }
            edit(&$0)
        }
    }

    private static func denied(
        _ source: Peer, _ destination: Peer, count: UInt64 = 1, _ edit: (inout Flow) -> Void = { _ in }
    ) -> Flow {
        flow(.denied, source, destination) {
            $0.time = 1_772_361_062_123_456_789
            $0.direction = .ingress
            $0.dropReason = "policy_isolated"
            $0.ingressRule = RuleReference("NetworkPolicy/shop/default-deny/ingress/isolation")
            $0.count = count
            edit(&$0)
        }
    }

    /// What a format writes of flows that come at one time, and at the end.
    private func lines(_ format: PolicyLogFormat, _ flows: [Flow]) -> [String] {
        var (format, output) = (format, ExportOutput())
        for flow in flows { format.take(flow, now: 0, into: &output) }
        format.finish(into: &output)
        return output.records.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    private static let frontEnd =
        #"{"pod_name":"front-1","pod_namespace":"shop","namespace":"shop","workload_kind":"Deployment","#
        + #""workload_name":"front","node_name":"node-a"}"#
    private static let cartEnd =
        #"{"pod_name":"cart-1","pod_namespace":"shop","namespace":"shop","workload_kind":"Deployment","#
        + #""workload_name":"cart","node_name":"node-b"}"#
    private static let end = #""count":1,"node_name":"node-a","timestamp":"2026-03-01T10:31:02.123456789Z"}"#

    @Test(
        "each record has what GKE's has",
        arguments: [
            (
                allowed(front, cart, egress: "front-out"),
                #"{"connection":{"src_ip":"10.1.0.1","dest_ip":"10.1.0.2","src_port":50000,"dest_port":80,"#
                    + #""protocol":"tcp","direction":"egress"},"disposition":"allow","policies":[{"kind":"#
                    + #""NetworkPolicy","namespace":"shop","name":"front-out"}],"src":\#(frontEnd),"#
                    + #""dest":\#(cartEnd),\#(end)"#
            ),
            (
                flow(.opened, lone, world, .icmp) {
                    $0.time = 1_772_361_062_123_456_789
                    $0.tuple.ipProtocol = .icmpv6
                    $0.egressRule = RuleReference("ClusterNetworkPolicy//guard/egress/0/a \"name\"")
                },
                #"{"connection":{"src_ip":"fd00::7","dest_ip":"198.51.100.1","protocol":"icmpv6","#
                    + #""direction":"egress"},"disposition":"allow","policies":[{"kind":"ClusterNetworkPolicy","#
                    + #""name":"guard"}],"src":{"pod_name":"lone","pod_namespace":"shop","namespace":"shop","#
                    + #""node_name":"node-a"},"dest":{"instance":"198.51.100.1"},\#(end)"#
            ),
            (
                denied(node, front) {
                    $0.tuple.ipProtocol = .sctp
                    $0.tuple.source.port = 0
                },
                #"{"connection":{"src_ip":"192.0.2.1","dest_ip":"10.1.0.1","dest_port":80,"protocol":"sctp","#
                    + #""direction":"ingress"},"disposition":"deny","policies":[{"kind":"NetworkPolicy","#
                    + #""namespace":"shop","name":"default-deny"}],"src":{"workload_kind":"Node","#
                    + #""workload_name":"node-b","node_name":"node-b","instance":"192.0.2.1"},"#
                    + #""dest":\#(frontEnd),\#(end)"#
            ),
            (
                denied(world, front) {
                    $0.tuple.ipProtocol = IPProtocol(rawValue: 47)
                    ($0.ingressRule, $0.dropReason) = (nil, "policy_missing")
                },
                #"{"connection":{"src_ip":"198.51.100.1","dest_ip":"10.1.0.1","protocol":"unknown","#
                    + #""direction":"ingress"},"disposition":"deny","src":{"instance":"198.51.100.1"},"#
                    + #""dest":\#(frontEnd),\#(end)"#
            ),
        ])
    func golden(flow: Flow, line: String) {
        #expect(lines(Self.log(), [flow]) == [line])
    }

    @Test("a connection is logged at each end where a rule let it pass, and nowhere where none did")
    func ends() {
        let both = Self.allowed(Self.front, Self.cart, egress: "out", ingress: "in")
        #expect(lines(Self.log(), [both]).map { $0.contains(#""direction":"egress""#) } == [true, false])
        #expect(lines(Self.log(), [Self.allowed(Self.front, Self.cart)]) == [])
    }

    @Test("what is no decision, or was only audited, is not logged")
    func others() {
        let broken = Self.denied(Self.front, Self.cart) { $0.dropReason = "no_backend" }
        let audited = flow(.audited, Self.front, Self.cart) {
            $0.dropReason = "policy_isolated"
            $0.ingressRule = RuleReference("NetworkPolicy/shop/default-deny/ingress/isolation")
        }
        let closed = flow(.closed, Self.front, Self.cart) {
            $0.egressRule = RuleReference("NetworkPolicy/a/b/egress/0")
        }
        #expect(lines(Self.log(), [broken, audited, closed]) == [])
    }

    @Test(
        "the object and the annotations choose",
        arguments: [
            (PolicyLogChoice.Scope.none, PolicyLogChoice.Scope.none, [String]()),
            (.all, .none, ["out", "in"]), (.none, .all, ["default-deny"]), (.delegated, .none, ["in"]),
            (.none, .delegated, []),
        ])
    func choice(allow: PolicyLogChoice.Scope, deny: PolicyLogChoice.Scope, names: [String]) {
        let annotated: Set = [PolicyLogChoice.Policy(kind: "NetworkPolicy", namespace: "shop", name: "in")]
        let flows = [
            Self.allowed(Self.front, Self.cart, egress: "out", ingress: "in"), Self.denied(Self.world, Self.front),
        ]
        let format = Self.log(allow: allow, deny: deny, policies: annotated, namespaces: ["other"])
        let found = lines(format, flows)
        #expect(found.count == names.count)
        for (line, name) in zip(found, names) { #expect(line.contains(#""name":"\#(name)""#)) }
    }

    @Test("a delegated denial is logged where the namespace of the pod that denied it is annotated")
    func delegatedDenials() {
        let elsewhere = Peer(address: ip("10.1.0.9"), kind: .pod, namespace: "other", name: "x", node: "node-a")
        let format = Self.log(deny: .delegated, namespaces: ["other"])
        #expect(lines(format, [Self.denied(elsewhere, Self.front)]) == [])
        #expect(lines(format, [Self.denied(Self.front, elsewhere)]).count == 1)
        #expect(lines(format, [Self.denied(elsewhere, Self.front) { $0.direction = .egress }]).count == 1)
    }

    @Test("denials of one client to one server are told together after five seconds, with the time of the first")
    func aggregation() {
        var (format, output) = (Self.log(), ExportOutput())
        func deny(_ port: Port, at now: UInt64, from: Port, count: UInt64) {
            let flow = Self.denied(Self.world, Self.front, count: count) {
                ($0.tuple.source.port, $0.tuple.destination.port) = (from, port)
            }
            format.take(flow, now: now, into: &output)
            format.ripen(now: now, into: &output)
        }
        deny(80, at: Self.second, from: 1000, count: 1)
        deny(80, at: 2 * Self.second, from: 1001, count: 3)
        deny(81, at: 3 * Self.second, from: 1002, count: 1)
        #expect(output.records.isEmpty && format.due == 6 * Self.second)
        deny(80, at: 5 * Self.second, from: 1003, count: 2)
        format.ripen(now: 6 * Self.second, into: &output)
        #expect(output.records.map(\.events) == [6])
        #expect(String(decoding: output.records[0].bytes, as: UTF8.self).contains(#""src_port":1000,"#))
        deny(80, at: 7 * Self.second, from: 1004, count: 1)
        format.ripen(now: 60 * Self.second, into: &output)
        #expect(output.records.map(\.events) == [6, 1, 1] && format.due == nil && output.dropped == [:])
    }

    @Test("denials that find no room to wait are counted")
    func denyKeys() {
        var limits = PolicyLogFormat.Limits()
        limits.denyKeys = 2
        var (format, output) = (Self.log(limits), ExportOutput())
        for port: Port in [1, 2, 3, 1, 4] {
            let flow = Self.denied(Self.world, Self.front, count: 2) { $0.tuple.destination.port = port }
            format.take(flow, now: 0, into: &output)
        }
        format.finish(into: &output)
        #expect(output.records.map(\.events) == [4, 2] && output.dropped == [.denyKeys: 4])
    }

    @Test("records beyond the rate are counted, and time gives room again")
    func rate() {
        var limits = PolicyLogFormat.Limits()
        limits.rate = 10
        var (format, output) = (Self.log(limits), ExportOutput())
        let flow = Self.allowed(Self.front, Self.cart, egress: "out")
        func take(_ count: Int, at now: UInt64) {
            for _ in 0..<count { format.take(flow, now: now, into: &output) }
        }
        take(15, at: 0)
        #expect(output.records.count == 10 && output.dropped == [.rate: 5])
        take(5, at: Self.second / 5)
        #expect(output.records.count == 12 && output.dropped == [.rate: 8])
        take(100, at: 100 * Self.second)
        #expect(output.records.count == 22 && output.dropped == [.rate: 98])
    }

    @Test("until it is known what is wanted, flows wait")
    func unknown() {
        var format = PolicyLogFormat { nil }
        let isReady = format.begin()
        #expect(!isReady)
    }
}
