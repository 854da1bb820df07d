import Addressing
import Datapath
import Kubernetes
import PrometheusText
import TestSupport
import Testing

@testable import Agent

@Suite("What leaves in the node's name")
struct MasqueradeTests {
    @Test(
        "Pods keep their address towards what is near, and towards pods",
        arguments: [
            ("10.1.2.3", true), ("172.31.0.1", true), ("172.32.0.1", false), ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("169.254.169.254", true), ("198.19.0.1", true), ("203.0.113.9", true), ("240.0.0.1", true),
            ("224.0.0.1", true), ("1.2.3.4", false), ("35.190.0.1", false), ("36.1.2.3", true), ("fd00::1", true),
            ("fe80::1", true), ("ff02::1", true), ("2001:db8::1", true), ("2a00::1", false), ("2a00:1::1", true),
        ])
    func defaults(_ address: String, keeps: Bool) throws {
        let pods: Set<CIDR> = [cidr("36.1.2.0/24"), cidr("2a00:1::/64"), cidr("10.244.1.0/24")]
        let ranges = MasqueradeSettings().ranges(besides: pods)
        #expect(ranges.contains { $0.contains(ip(address)) } == keeps)
        #expect(!ranges.contains(cidr("10.244.1.0/24")), "a range inside another one is not needed")
    }

    @Test("Blocks that are given replace the default ones of their family")
    func given() {
        var settings = MasqueradeSettings()
        settings.setExceptions([cidr("::/0")])
        let ranges = settings.ranges(besides: [])
        #expect(ranges.filter { !$0.address.isIPv4 } == [cidr("::/0")])
        #expect(ranges.contains(cidr("10.0.0.0/8")))
        settings.isOn = false
        #expect(settings.ranges(besides: [cidr("36.1.2.0/24")]).isEmpty)
    }

    @Test("Ranges of pods follow the Nodes")
    func podRanges() {
        var ranges = PodRanges()
        func node(_ name: String, _ blocks: String...) -> ObjectChange {
            .upsert(.node(Node(meta: ObjectMeta(name: name), podCIDRs: blocks.map { cidr($0) })))
        }
        let changes = [
            node("a", "10.1.0.0/24", "fd00:1::/64"), node("a", "10.1.0.0/24", "fd00:1::/64"), node("b", "10.1.0.0/24"),
            .delete(ObjectKey(.node, name: "b")),
        ]
        let news = changes.map { ranges.apply($0) }
        #expect(news == [true, false, true, true])
        #expect(ranges.all == [cidr("10.1.0.0/24"), cidr("fd00:1::/64")], "another Node has it, too")
        _ = ranges.apply(node("a"))
        #expect(ranges.all.isEmpty)
    }

    private static func destination(_ number: Int) -> PortDestination {
        PortDestination(.tcp, SocketAddress(ip("1.2.3.\(number)"), 443))
    }

    @Test("A destination is crowded once, until it is relieved")
    func crowded() {
        var use = PortUse(capacity: 100)
        let (first, second) = (Self.destination(1), Self.destination(2))
        for (counts, news, crowded) in [
            ([first: 74], [], []), ([first: 75, second: 10], [first], [first]), ([first: 61], [], [first]),
            ([first: 59, second: 100], [second], [second]), ([first: 70, second: 80], [], [second]), ([:], [], []),
            ([first: 75, second: 80], [first, second], [first, second]),
        ] as [([PortDestination: Int], [PortDestination], Set<PortDestination>)] {
            let told = use.note(counts)
            #expect(told == news, "\(counts)")
            #expect(use.crowdedDestinations == crowded, "\(counts)")
        }
        #expect(use.message(first).hasPrefix("75 of 100 ports of the node are in use towards TCP 1.2.3.1:443"))
    }

    @Test("The destinations with the most ports have series of their own, the others one together")
    func greatest() {
        var use = PortUse(capacity: 100)
        _ = use.note(Dictionary(uniqueKeysWithValues: (1...30).map { (Self.destination($0), $0 == 9 ? 50 : 1) }))
        let (first, others) = use.greatest(20)
        #expect(first.first?.destination == Self.destination(9) && first.first?.count == 50)
        #expect(first.count == 20 && others == 10)
    }
}
