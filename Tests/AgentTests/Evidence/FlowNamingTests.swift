import Addressing
import DatapathABI
import Flows
import Kubernetes
import TestSupport
import Testing

@testable import Agent
@testable import Datapath

/// Who a flow is told to be of, when its addresses are others' by the time at which it is told.
@Suite struct FlowNamingTests {
    private static let address = ip("10.244.1.5")
    private static let offset: Int64 = 1_700_000_000_000_000_000

    private static func pod(_ name: String, uid: String = "", phase: Pod.Phase = .running) -> ObjectChange {
        let meta = ObjectMeta(name: name, namespace: "shop", uid: uid, labels: ["name": name])
        return .upsert(.pod(Pod(meta: meta, nodeName: "node-b", phase: phase, addresses: [address])))
    }

    private static func gone(_ name: String) -> ObjectChange {
        .delete(ObjectKey(.pod, namespace: "shop", name: name))
    }

    private static func number(_ number: UInt32, _ name: String, uid: String = "") -> NumberedPod {
        NumberedPod(number: number, namespace: "shop", name: name, uid: uid)
    }

    /// The end of a connection that the address opened, from the record to the names.
    private static func closed(
        opened: UInt64, at time: UInt64, number: UInt32 = 0, in directory: FlowDirectory
    ) throws -> Peer {
        var raw = apus_event()
        (raw.time_ns, raw.opened_ns) = (time, opened)
        (raw.source, raw.destination) = (apus_address(address), apus_address(ip("203.0.113.9")))
        (raw.source_endpoint, raw.source_identity) = (number == 0 ? 0 : 3, number)
        raw.protocol = IPProtocol.tcp.rawValue
        raw.kind = UInt8(apus_event_kind.APUS_EVENT_CLOSED.rawValue)
        raw.ending = UInt8(apus_ending.APUS_ENDING_FINISHED.rawValue)
        let event = try DatapathEvent(decoding: Bytes(of: raw).span.bytes)
        var flows = [Flow(event, node: "node-a", clockOffset: offset)]
        directory.enrich(&flows, clockOffset: offset)
        return flows[0].source
    }

    @Test func aPodOfThisNodeKeepsItsNameWhenAnotherOneHasItsAddress() throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("old")], now: 10)
        directory.note([Self.number(17, "old")], next: 18)
        directory.apply([Self.gone("old"), Self.pod("new")], now: 200)
        directory.note([Self.number(18, "new")], next: 19)
        let old = try Self.closed(opened: 100, at: 400, number: 17, in: directory)
        #expect(old.name == "old" && old.labels == ["name": "old"])
        #expect(try Self.closed(opened: 300, at: 400, number: 18, in: directory).name == "new")
    }

    @Test func aPodThatIsMadeAnewUnderItsNameIsAnotherOne() throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("db-0", uid: "a")], now: 10)
        directory.note([Self.number(17, "db-0", uid: "a")], next: 18)
        let meta = ObjectMeta(name: "db-0", namespace: "shop", uid: "b", labels: ["version": "2"])
        directory.apply([.upsert(.pod(Pod(meta: meta, phase: .running, addresses: [Self.address])))], now: 200)
        directory.note([Self.number(18, "db-0", uid: "b")], next: 19)
        #expect(try Self.closed(opened: 100, at: 400, number: 17, in: directory).labels == ["name": "db-0"])
        #expect(try Self.closed(opened: 300, at: 400, number: 18, in: directory).labels == ["version": "2"])
    }

    @Test func whatTheAgentNeverKnewIsNotNamedAsThePodThatIsThereNow() throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("new")], now: 10)
        directory.note([Self.number(18, "new")], next: 19)
        #expect(try Self.closed(opened: 1, at: 400, number: 17, in: directory).kind == .world)
        // The number of a pod that comes this moment is noted a moment later.
        #expect(try Self.closed(opened: 1, at: 400, number: 19, in: directory).name == "new")
    }

    /// When a connection was opened, and the pod that opened it.
    static let openings: [(opened: UInt64, name: String?)] = [(100, "old"), (199, "old"), (200, "new"), (350, "new")]

    @Test(arguments: openings)
    func aPodOfAnotherNodeHasWhatWasOpenedWhileItHadTheAddress(opened: UInt64, name: String?) throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("old")], now: 10)
        directory.apply([Self.gone("old")], now: 200)
        // Nobody tells when it got its address: after the end of the one before it.
        directory.apply([Self.pod("new")], now: 300)
        #expect(try Self.closed(opened: opened, at: 400, in: directory).name == name)
    }

    @Test(arguments: openings)
    func aPodThatHasFinishedGivesItsAddressToAnother(opened: UInt64, name: String?) throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("old")], now: 10)
        directory.apply([Self.pod("old", phase: .succeeded)], now: 200)
        directory.apply([Self.pod("new")], now: 300)
        directory.apply([Self.gone("old")], now: 310)
        #expect(try Self.closed(opened: opened, at: 400, in: directory).name == name)
    }

    @Test func whoIsGoneHasNothingThatWasOpenedLater() throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("old")], now: 10)
        directory.apply([Self.gone("old")], now: 200)
        #expect(try Self.closed(opened: 100, at: 400, in: directory).name == "old")
        #expect(try Self.closed(opened: 300, at: 400, in: directory).kind == .world)
    }

    @Test func aPodWhoseObjectChangesIsTheSame() throws {
        let directory = FlowDirectory()
        directory.apply([Self.pod("a", uid: "x")], now: 10)
        for now in 20..<9000 as Range<UInt64> { directory.apply([Self.pod("a", uid: "x")], now: now) }
        #expect(try Self.closed(opened: 5, at: 9001, in: directory).name == "a")
    }

    @Test func ofFormerPodsTheLastOnesAreRemembered() throws {
        let directory = FlowDirectory()
        for number in 0..<6000 as Range<UInt64> {
            directory.apply([Self.pod("p\(number)")], now: 10 * number + 1)
            directory.apply([Self.gone("p\(number)")], now: 10 * number + 6)
        }
        #expect(try Self.closed(opened: 59_993, at: 70_000, in: directory).name == "p5999")
        #expect(try Self.closed(opened: 40_003, at: 70_000, in: directory).name == "p4000")
        #expect(try Self.closed(opened: 13, at: 70_000, in: directory).kind == .world)
    }
}
