internal import BPF
internal import Datapath
internal import LinuxKernel

/// Which uplinks get the shortcut at XDP.
public enum XDPSetting: String, Sendable, Hashable, CaseIterable {
    /// Those whose driver can do it, where nothing speaks against it.
    case auto
    /// All, in the driver.
    case native
    /// All, behind the driver.
    case generic
    case off
}

/// What is known of an interface that may get it.
struct XDPCandidate: Sendable, Hashable {
    var interface: NetworkInterface
    /// What its driver can do; empty where it does not say.
    var features: XDPFeatures
    /// Whether VLANs are on it.
    var carriesVLANs: Bool
}

/// What an uplink is to have.
enum XDPChoice: Sendable, Hashable {
    case attach(XDPUplink)
    /// `isProblem`: it was asked for.
    case leave(reason: String, isProblem: Bool)
}

extension XDPSetting {
    /// What an uplink is to have by this setting.
    func choice(for candidate: XDPCandidate) -> XDPChoice {
        if self == .off { return .leave(reason: "--xdp off", isProblem: false) }
        let isAsked = self != .auto
        guard let address = candidate.interface.address else {
            return .leave(reason: "it is no Ethernet interface", isProblem: isAsked)
        }
        if candidate.interface.kind == "vxlan" { return .leave(reason: "it is an overlay", isProblem: false) }
        if candidate.interface.kind == "bond", self != .generic {
            return .leave(reason: "it is a bond, by whose ports frames come in there", isProblem: isAsked)
        }
        if candidate.carriesVLANs {
            return .leave(reason: "VLANs are on it, whose tags are not seen there", isProblem: isAsked)
        }
        if self == .auto, let objection = objection(to: candidate) {
            return .leave(reason: objection, isProblem: false)
        }
        let isGeneric = self == .generic
        let transmits = isGeneric || candidate.features.contains(.transmit)
        // A card returns frames without further ado. What a veth returns stays at its other end until that has a program
        // of its own; what is redirected gets there where the driver says so, though it is the same way.
        let canReturn = isGeneric || candidate.interface.kind != "veth"
        return .attach(
            XDPUplink(
                mode: isGeneric ? .generic : .native, address: address, canReturn: canReturn, canTransmit: transmits))
    }

    private func objection(to candidate: XDPCandidate) -> String? {
        if candidate.interface.kind == "veth" { return "it is a veth" }
        return candidate.features.isSuperset(of: [.basic, .redirect]) ? nil : "its driver has no support for it"
    }
}
