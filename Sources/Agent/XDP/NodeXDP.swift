internal import AgentAPI
internal import BPF
internal import Datapath
internal import LinuxKernel
internal import Logging

/// What an uplink has of XDP.
struct XDPStanding: Sendable, Hashable {
    var name: String
    /// nil: it has no program of ours.
    var mode: XDPMode?
    /// Why not.
    var reason: String?
    /// Whether it was asked for, and should have one.
    var isProblem = false
}

/// The controller's part about the shortcut at XDP.
extension NodeController {
    /// Puts the shortcut on the uplinks that are to have it, and takes it off all others. Without it their packets take
    /// the usual way, so nothing that fails here keeps an uplink from being attached.
    func settleShortcuts() {
        for index in kernel.shortcutInterfaces.subtracting(attachedUplinks) { removeShortcut(index) }
        let before = xdp
        xdp = [:]
        for index in attachedUplinks { settleShortcut(index, before: before[index]) }
        let problems = xdp.values.filter(\.isProblem).map { ($0.name, $0.reason ?? "") }
        _ = xdpProblems.note(Dictionary(problems) { first, _ in first }, at: KernelClock.monotonic())
    }

    /// Looks again whether what the uplinks' shortcuts were told still holds.
    func refreshShortcuts(_ interface: NetworkInterface) {
        if configuration.xdp != .off, isSynced, attachedUplinks.contains(interface.index) { settleShortcuts() }
    }

    private func settleShortcut(_ index: UInt32, before: XDPStanding?) {
        let standing = attachShortcut(index)
        xdp[index] = standing
        guard standing != before else { return }
        let metadata: Logger.Metadata = [
            "uplink": "\(standing.name)", "reason": "\(standing.reason ?? standing.mode?.rawValue ?? "")",
        ]
        switch (standing.mode, standing.isProblem) {
        case (_?, _): log.info("Established connections through an uplink are forwarded by XDP", metadata: metadata)
        case (nil, true): log.error("An uplink has no XDP: its packets take the usual way", metadata: metadata)
        case (nil, false): log.info("An uplink is without XDP", metadata: metadata)
        }
    }

    private func attachShortcut(_ index: UInt32) -> XDPStanding {
        var standing = XDPStanding(name: "interface \(index)")
        do {
            let candidate = try finder.candidateForXDP(index)
            standing.name = candidate.interface.name
            switch configuration.xdp.choice(for: candidate) {
            case .attach(let uplink):
                try kernel.attachShortcut(index, uplink)
                standing.mode = uplink.mode
                return standing
            case .leave(let reason, let isProblem): (standing.reason, standing.isProblem) = (reason, isProblem)
            }
        } catch let error as BPFError where error.errno == .busy {
            standing.reason = "somebody else's program of XDP is on it, or its driver has no room for one: \(error)"
            standing.isProblem = configuration.xdp != .auto
        } catch {
            standing.reason = "\(error)"
            standing.isProblem = configuration.xdp != .auto
        }
        removeShortcut(index)
        return standing
    }

    private func removeShortcut(_ index: UInt32) {
        do { try kernel.detachShortcut(index) } catch {
            log.warning(
                "A program of XDP could not be detached", metadata: ["ifindex": "\(index)", "error": "\(error)"])
        }
    }

    /// What the uplinks have, for those who ask.
    var xdpStatus: [AgentStatus.XDP] {
        xdp.values.sorted { $0.name < $1.name }.map {
            AgentStatus.XDP(uplink: $0.name, mode: $0.mode?.rawValue, reason: $0.reason)
        }
    }

    /// What was asked for and can't be had.
    var xdpDiagnostics: [AgentDiagnostic] {
        xdp.values.filter(\.isProblem).sorted { $0.name < $1.name }.map {
            AgentDiagnostic(
                object: "Uplink \($0.name)",
                message: "it has no XDP (--xdp \(configuration.xdp.rawValue)), its packets take the usual way: "
                    + ($0.reason ?? ""))
        }
    }
}

extension EndpointFinder {
    /// What is known of an interface that may get XDP.
    mutating func candidateForXDP(_ index: UInt32) throws(KernelError) -> XDPCandidate {
        let interfaces = try allInterfaces()
        guard let interface = interfaces.first(where: { $0.index == index }) else { throw KernelError.gone(index) }
        let carriesVLANs = interfaces.contains {
            $0.kind == "vlan" && $0.peerIndex == index && $0.peerNamespace == nil
        }
        // A kernel that does not say it has no feature that could be relied on.
        let features = (try? XDPFeatures.of(interface: index)) ?? []
        return XDPCandidate(interface: interface, features: features, carriesVLANs: carriesVLANs)
    }
}
