import Addressing
import BPF
import Datapath
import LinuxKernel
import Testing

@testable import Agent

@Suite("Which uplinks get XDP")
struct XDPSettingTests {
    private static let address = MACAddress(bits: 0x0200_0000_0001)

    private static func candidate(
        kind: String? = nil, _ features: XDPFeatures = [.basic, .redirect, .transmit], vlans: Bool = false,
        address: MACAddress? = XDPSettingTests.address
    ) -> XDPCandidate {
        XDPCandidate(
            interface: NetworkInterface(index: 2, name: "eth0", address: address, kind: kind), features: features,
            carriesVLANs: vlans)
    }

    private static func attached(
        _ mode: XDPMode, canReturn: Bool = true, canTransmit: Bool = true
    ) -> XDPChoice {
        .attach(XDPUplink(mode: mode, address: address, canReturn: canReturn, canTransmit: canTransmit))
    }

    @Test("A card whose driver can gets it in the driver, unless it is off")
    func card() {
        let card = Self.candidate()
        #expect(XDPSetting.auto.choice(for: card) == Self.attached(.native))
        #expect(XDPSetting.native.choice(for: card) == Self.attached(.native))
        #expect(XDPSetting.generic.choice(for: card) == Self.attached(.generic))
        #expect(XDPSetting.off.choice(for: card) == .leave(reason: "--xdp off", isProblem: false))
    }

    @Test("A card that takes no frames of others returns its own")
    func noTransmission() {
        let card = Self.candidate([.basic, .redirect])
        #expect(XDPSetting.auto.choice(for: card) == Self.attached(.native, canTransmit: false))
    }

    @Test("What can't is left alone, and is tried where it was asked for", arguments: [XDPFeatures.basic, []])
    func unable(_ features: XDPFeatures) {
        let card = Self.candidate(features)
        #expect(
            XDPSetting.auto.choice(for: card)
                == .leave(reason: "its driver has no support for it", isProblem: false))
        #expect(XDPSetting.native.choice(for: card) == Self.attached(.native, canTransmit: false))
        #expect(XDPSetting.generic.choice(for: card) == Self.attached(.generic))
    }

    @Test("A veth gets it where it is asked for, and keeps to what its other end is ready for")
    func veth() {
        let ready = Self.candidate(kind: "veth")
        #expect(XDPSetting.auto.choice(for: ready) == .leave(reason: "it is a veth", isProblem: false))
        #expect(XDPSetting.native.choice(for: ready) == Self.attached(.native, canReturn: false))
        let unready = Self.candidate(kind: "veth", [.basic, .redirect])
        let kept = Self.attached(.native, canReturn: false, canTransmit: false)
        #expect(XDPSetting.native.choice(for: unready) == kept)
        #expect(XDPSetting.generic.choice(for: unready) == Self.attached(.generic))
    }

    @Test("Overlays and bonds get none in a driver", arguments: [XDPSetting.auto, .native])
    func otherKinds(_ setting: XDPSetting) {
        let overlay = Self.candidate(kind: "vxlan")
        #expect(setting.choice(for: overlay) == .leave(reason: "it is an overlay", isProblem: false))
        let bond = XDPChoice.leave(
            reason: "it is a bond, by whose ports frames come in there", isProblem: setting == .native)
        #expect(setting.choice(for: Self.candidate(kind: "bond")) == bond)
        #expect(XDPSetting.generic.choice(for: Self.candidate(kind: "bond")) == Self.attached(.generic))
    }

    @Test("Where VLANs are it is not, and that is a problem where it was asked for", arguments: XDPSetting.allCases)
    func vlans(_ setting: XDPSetting) {
        guard setting != .off else { return }
        let expected = XDPChoice.leave(
            reason: "VLANs are on it, whose tags are not seen there", isProblem: setting != .auto)
        #expect(setting.choice(for: Self.candidate(vlans: true)) == expected)
    }
}

extension XDPSettingTests {
    private static func candidate(_ features: XDPFeatures) -> XDPCandidate { candidate(kind: nil, features) }
}
