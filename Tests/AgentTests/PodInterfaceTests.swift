import LinuxKernel
import NetworkPolicy
import Testing

@testable import Agent

@Suite struct PodInterfaces {
    private static let pod = PodKey(namespace: "shop", name: "web")
    private static let other = PodKey(namespace: "shop", name: "db")

    private func link(_ index: UInt32, kind: String? = "veth", isLoopback: Bool = false) -> NetworkInterface {
        NetworkInterface(index: index, name: "if\(index)", kind: kind, isUp: true, isLoopback: isLoopback, mtu: 1500)
    }

    private let rules = PodInterfaceRules(uplinks: [2], holders: [5: PodInterfaces.pod, 6: PodInterfaces.other])

    @Test func aPodNeedsAnInterfaceOfItsOwn() {
        let pod = Self.pod
        #expect(rules.objection(to: link(7), for: pod) == nil)
        #expect(rules.objection(to: link(7, kind: nil), for: pod) == nil)
        #expect(rules.objection(to: link(5), for: pod) == nil, "it is there already")
        #expect(rules.objection(to: link(2), for: pod) == .uplink("if2"))
        #expect(rules.objection(to: link(3, kind: "bridge"), for: pod) == .shared("if3", kind: "bridge"))
        #expect(rules.objection(to: link(1, isLoopback: true), for: pod) == .shared("if1", kind: "loopback"))
        #expect(rules.objection(to: link(6), for: pod) == .taken("if6", by: Self.other))
    }

    @Test func anUplinksProblemIsNewsOnceAndTriedAgainLater() {
        var state = AttachmentProblems()
        #expect(!state.isDue(at: 10))
        #expect(state.note(["eth1": "gone"], at: 10) == ["eth1"])
        #expect(state.note(["eth1": "gone"], at: 11).isEmpty)
        #expect(!state.isDue(at: 12) && state.isDue(at: 1_000_000_011))
        #expect(state.note([:], at: 13).isEmpty)
        #expect(!state.isDue(at: .max) && state.problems.isEmpty)
        #expect(state.note(["eth1": "gone"], at: 14) == ["eth1"], "it came back")
    }
}
