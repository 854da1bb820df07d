public import Addressing
public import BPF
internal import DatapathABI

/// How an uplink gets the shortcut at XDP, and what that needs to know of it.
public struct XDPUplink: Sendable, Hashable {
    public var mode: XDPMode
    /// Its own: frames for another one are another host's.
    public var address: MACAddress
    /// Whether what came in by it and is returned goes out by it again.
    public var canReturn: Bool
    /// Whether what is redirected to it goes out by it.
    public var canTransmit: Bool

    public init(mode: XDPMode, address: MACAddress, canReturn: Bool, canTransmit: Bool) {
        self.mode = mode
        self.address = address
        self.canReturn = canReturn
        self.canTransmit = canTransmit
    }
}

extension DatapathKernel {
    private static let links = "xdp_links"

    /// Puts the shortcut on an uplink, or says anew what it has to know of it.
    ///
    /// Fails with `.busy` where somebody else's program of XDP is there already.
    public func attachShortcut(_ index: UInt32, _ uplink: XDPUplink) throws {
        for mode in XDPMode.allCases where mode != uplink.mode { try detach(.shortcut(index, mode)) }
        // Without an entry the program lets all pass: with it, it may run already.
        try box(Self.links).map.update(index, apus_xdp_link(uplink))
        let attachment = Attachment.shortcut(index, uplink.mode)
        if liveLink(attachment)?.interface == index {
            attached.insert(attachment)
            return
        }
        try detach(attachment)
        guard let link = try programs.attachShortcut(toInterface: index, uplink.mode) else {
            throw DatapathError("the kernel does not take the program: \(shortcutError ?? "no reason known")")
        }
        try link.pin(at: pins.link(attachment.description))
        attached.insert(attachment)
    }

    /// Takes the shortcut off an uplink.
    public func detachShortcut(_ index: UInt32) throws {
        for mode in XDPMode.allCases { try detach(.shortcut(index, mode)) }
        _ = try? maps[Self.links]?.map.delete(index)
    }

    /// The interfaces whose links of the shortcut are pinned.
    public var shortcutInterfaces: Set<UInt32> {
        Set(attachments.compactMap { if case .shortcut(let index, _) = $0 { index } else { nil } })
    }

    /// What these uplinks have of it.
    func shortcuts(on uplinks: Set<UInt32>) -> [Attachment] {
        attached.filter {
            if case .shortcut(let index, _) = $0 { uplinks.contains(index) } else { false }
        }
    }
}

extension apus_xdp_link {
    fileprivate init(_ uplink: XDPUplink) {
        self.init()
        withUnsafeMutableBytes(of: &mac) { $0.copyBytes(from: uplink.address.bytes) }
        let flags = [(APUS_XDP_BOUNCES, uplink.canReturn), (APUS_XDP_TRANSMITS, uplink.canTransmit)]
        self.flags = UInt8(flags.reduce(0) { $1.1 ? $0 | $1.0.rawValue : $0 })
    }
}
