import Addressing
import NodeRouting
import Testing

@Suite struct OverlayStepsTests {
    private var wanted: OverlayDevice { Cluster.plan(.vxlan, []).device! }
    private var present: PresentOverlay {
        PresentOverlay(
            index: 9, isMarked: true, settings: OverlaySettings(), local: ip("192.0.2.1"), learns: false, mtu: 1450,
            hardware: wanted.hardware, isUp: true, addresses: [ip("10.244.1.0"), ip("fd00:10:244:1::")])
    }
    private let creation: [OverlayStep] = [
        .create, .mark, .bringUp, .add(ip("10.244.1.0")), .add(ip("fd00:10:244:1::")),
    ]

    private func steps(_ change: (inout PresentOverlay) -> Void) throws -> [OverlayStep] {
        var present = present
        change(&present)
        return try wanted.steps(from: present)
    }

    @Test func itIsMadeWhereThereIsNone() throws {
        #expect(try wanted.steps(from: nil) == creation)
    }

    @Test func oneThatIsRightIsAdopted() throws {
        #expect(try steps { _ in } == [])
        #expect(try steps { $0.isMarked = false } == [.mark], "its maker died before it was marked")
    }

    @Test func whatCanBeChangedIs() throws {
        #expect(try steps { $0.mtu = 1500 } == [.setMTU(1450)])
        #expect(try steps { $0.hardware = MACAddress("02:00:00:00:00:01") } == [.setHardware(wanted.hardware)])
        #expect(try steps { $0.isUp = false } == [.bringUp])
        #expect(
            try steps { $0.addresses = [ip("10.244.1.0"), ip("10.244.9.0")] } == [
                .add(ip("fd00:10:244:1::")), .removeAddress(ip("10.244.9.0")),
            ])
    }

    @Test func whatCannotTakesANewOne() throws {
        #expect(try steps { $0.settings?.identifier = 4 } == [.remove] + creation)
        #expect(try steps { $0.settings?.port = 8472 } == [.remove] + creation)
        #expect(try steps { $0.local = ip("192.0.2.9") } == [.remove] + creation)
        #expect(try steps { $0.learns = true } == [.remove] + creation)
    }

    @Test func thatOfSomebodyElseIsLeftAlone() {
        #expect(throws: ForeignInterface(name: "apus-vxlan")) {
            try steps { ($0.isMarked, $0.settings) = (false, nil) }
        }
        #expect(throws: ForeignInterface(name: "apus-vxlan")) {
            try steps {
                $0.isMarked = false
                $0.settings?.identifier = 1
            }
        }
    }
}
