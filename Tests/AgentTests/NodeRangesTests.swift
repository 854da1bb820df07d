import Addressing
import Datapath
import Kubernetes
import Testing

@testable import Agent

@Suite("Ranges of other nodes")
struct NodeRangesTests {
    private static func node(_ name: String, _ addresses: [String], _ ranges: [String]) -> ObjectChange {
        .upsert(
            .node(
                Node(
                    meta: ObjectMeta(name: name),
                    addresses: addresses.compactMap { IPAddress($0) }.map { .init(.internalIP, $0) },
                    podCIDRs: ranges.compactMap { CIDR($0) })))
    }

    private static func text(_ ranges: NodeRanges) -> [String: NodeRange] {
        Dictionary(uniqueKeysWithValues: ranges.all.map { ("\($0.key)", $0.value) })
    }

    @Test("Nodes wrap and unwrap, pods' ranges are unwrapped for, and this node has its own addresses alone")
    func others() {
        var ranges = NodeRanges(own: "a", sendsFromRanges: false)
        let changes = [
            Self.node("a", ["10.0.0.1"], ["10.244.1.0/24"]),
            Self.node("b", ["10.0.0.2", "fd00::2"], ["10.244.2.0/24"]),
        ]
        let isNews = ranges.apply(changes)
        #expect(isNews)
        #expect(
            Self.text(ranges) == [
                "10.0.0.1/32": .own, "10.0.0.2/32": [.sends, .unwraps], "fd00::2/128": [.sends, .unwraps],
                "10.244.2.0/24": .unwraps,
            ])
        let isNewsAgain = ranges.apply([Self.node("b", ["10.0.0.2", "fd00::2"], ["10.244.2.0/24"])])
        let ofOwn = ranges.apply([Self.node("a", ["10.0.0.9"], [])])
        #expect(!isNewsAgain && ofOwn)
        let isElsewhere = ranges.apply([Self.node("b", ["10.0.0.3"], ["10.244.2.0/24"])])
        #expect(isElsewhere)
        #expect(
            Self.text(ranges) == ["10.0.0.9/32": .own, "10.0.0.3/32": [.sends, .unwraps], "10.244.2.0/24": .unwraps])
        let isGone = ranges.apply([.delete(ObjectKey(.node, name: "b"))])
        #expect(isGone && ranges.all.count == 1)
    }

    @Test("By an overlay nodes send from the first address of their ranges")
    func overlay() {
        var ranges = NodeRanges(own: "a", sendsFromRanges: true)
        _ = ranges.apply([Self.node("a", [], ["10.244.1.0/24"]), Self.node("b", [], ["10.244.2.0/24"])])
        #expect(
            Self.text(ranges) == [
                "10.244.1.0/32": .own, "10.244.2.0/32": [.sends, .unwraps], "10.244.2.0/24": .unwraps,
            ])
    }
}
