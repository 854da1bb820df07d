internal import BPF
internal import Glibc
internal import LinuxKernel

/// The loaded programs.
struct Programs: ~Copyable {
    let fromPod: BPFProgram
    let toPod: BPFProgram
    let fromNetwork: BPFProgram
    let toNetwork: BPFProgram
    let names: NameTeacher
    private let socket: BPFObject
    /// nil: nothing is told of flows, or the kernel does not take it.
    private let retransmission: BPFObject?
    /// nil: the kernel does not take it.
    private let ending: BPFObject?
    private let xdp: BPFObject?

    init(
        pod: consuming BPFObject, uplink: consuming BPFObject, socket: consuming BPFObject, names: consuming BPFObject,
        retransmission: consuming BPFObject?, ending: consuming BPFObject?, xdp: consuming BPFObject?
    ) throws(BPFError) {
        let teacher = try NameTeacher(names)
        let fromPod = try pod.program("from_pod")
        let toPod = try pod.program("to_pod")
        let fromNetwork = try uplink.program("from_network")
        let toNetwork = try uplink.program("to_network")
        self.fromPod = fromPod
        self.toPod = toPod
        self.fromNetwork = fromNetwork
        self.toNetwork = toNetwork
        self.names = teacher
        self.socket = socket
        self.retransmission = retransmission
        self.ending = ending
        self.xdp = xdp
    }

    func program(for hook: SocketHook) throws(BPFError) -> BPFProgram { try socket.program("socket_\(hook)") }

    /// Attaches the program of a tracepoint; nil where there is none.
    func attach(to tracepoint: Tracepoint) throws(BPFError) -> BPFLink? {
        switch retransmission {
        case .some(let object): try BPFLink.attach(toTracepointOf: object.program(tracepoint.program))
        case .none: nil
        }
    }

    /// Ends the node's datagram sockets whose backend serves no more. Returns how many there were.
    func endSockets() throws(BPFError) -> Int {
        switch ending {
        case .some(let object): try object.program("end_cut_off_sockets").iterate()
        case .none: 0
        }
    }

    /// Attaches the shortcut to an uplink; nil where the kernel has none.
    func attachShortcut(toInterface index: UInt32, _ mode: XDPMode) throws(BPFError) -> BPFLink? {
        switch xdp {
        case .some(let object): try BPFLink.attach(object.program("shortcut"), toInterface: index, mode)
        case .none: nil
        }
    }

    /// Gives a link the shortcut of this build; false where the kernel has none.
    func update(shortcut link: borrowing BPFLink) throws(BPFError) -> Bool {
        switch xdp {
        case .some(let object):
            try link.update(to: try object.program("shortcut"))
            return true
        case .none: return false
        }
    }

    var countsRetransmissions: Bool {
        switch retransmission {
        case .some: true
        case .none: false
        }
    }
}

/// What the kernel's TCP tells of.
enum Tracepoint: String, CaseIterable {
    /// A socket sent a segment again.
    case segment
    /// A listening socket sent the second part of a handshake again.
    case answer

    var program: String { "\(rawValue)_retransmitted" }
}

/// Where a program goes; its text is the name of the pinned link.
enum Attachment: Hashable, CustomStringConvertible {
    case fromPod(UInt32)
    case toPod(UInt32)
    case fromNetwork(UInt32)
    case toNetwork(UInt32)
    case shortcut(UInt32, XDPMode)
    case socket(SocketHook)
    case retransmitted(Tracepoint)

    init?(_ text: String) {
        let parts = text.split(separator: "-").map(String.init)
        switch (parts.first, parts.count) {
        case ("pod", 3):
            guard let index = UInt32(parts[1]), parts[2] == "from" || parts[2] == "to" else { return nil }
            self = parts[2] == "from" ? .fromPod(index) : .toPod(index)
        case ("uplink", 3):
            guard let index = UInt32(parts[1]) else { return nil }
            if let mode = XDPMode(rawValue: parts[2]) {
                self = .shortcut(index, mode)
                return
            }
            guard parts[2] == "from" || parts[2] == "to" else { return nil }
            self = parts[2] == "from" ? .fromNetwork(index) : .toNetwork(index)
        case ("socket", 2):
            guard let hook = SocketHook(rawValue: parts[1]) else { return nil }
            self = .socket(hook)
        case ("retransmitted", 2):
            guard let tracepoint = Tracepoint(rawValue: parts[1]) else { return nil }
            self = .retransmitted(tracepoint)
        default: return nil
        }
    }

    var description: String {
        switch self {
        case .fromPod(let index): "pod-\(index)-from"
        case .toPod(let index): "pod-\(index)-to"
        case .fromNetwork(let index): "uplink-\(index)-from"
        case .toNetwork(let index): "uplink-\(index)-to"
        case .shortcut(let index, let mode): "uplink-\(index)-\(mode.rawValue)"
        case .socket(let hook): "socket-\(hook.rawValue)"
        case .retransmitted(let tracepoint): "retransmitted-\(tracepoint.rawValue)"
        }
    }

    /// The interface, nil for what has none.
    var interface: UInt32? {
        switch self {
        case .fromPod(let index), .toPod(let index), .fromNetwork(let index), .toNetwork(let index),
            .shortcut(let index, _):
            index
        case .socket, .retransmitted: nil
        }
    }
}

extension DatapathKernel {
    /// Puts the programs on both sides of a pod's host-side interface; nothing happens where they are already.
    public func attachPod(_ index: UInt32) throws {
        // What enters the pod is judged before anything that leaves it can be answered.
        try attach(.toPod(index))
        try attach(.fromPod(index))
    }

    /// Puts the programs on both sides of an uplink.
    public func attachUplink(_ index: UInt32) throws {
        // What comes in may need what is done to its answers.
        try attachUplinkEgress(index)
        try attach(.fromNetwork(index))
    }

    /// Puts the program on an uplink that what leaves by it needs. Until the programs of this build take over it meets
    /// nothing that it has to change.
    public func attachUplinkEgress(_ index: UInt32) throws { try attach(.toNetwork(index)) }

    /// Translates Services at the sockets of every process in a cgroup and below.
    public func attachSockets(cgroup path: String) throws {
        let directory = try FileDescriptor.openDirectory(path)
        var status = stat()
        guard stat(path, &status) == 0 else { throw DatapathError("cgroup \(path) can't be read") }
        for hook in SocketHook.allCases {
            let attachment = Attachment.socket(hook)
            if let info = liveLink(attachment), case .cgroup(let id, _) = info.target, id == UInt64(status.st_ino) {
                continue
            }
            try detach(attachment)
            let program = try programs.program(for: hook)
            try BPFLink.attach(program, toCgroup: directory, hook).pin(at: pins.link(attachment.description))
        }
    }

    /// Ends connected datagram sockets of the node's own processes whose backend serves no more; of pods the data path
    /// leads what they send to another one. Asked of a thread in the node's network namespace.
    ///
    /// - Returns: how many there were.
    public func endCutOffSockets() throws -> Int { try programs.endSockets() }

    /// Counts what sockets of this node send again, from here on by the loaded programs. Without a program of them, for
    /// whichever reason, nothing counts it.
    public func attachTracepoints() throws {
        for tracepoint in Tracepoint.allCases {
            let attachment = Attachment.retransmitted(tracepoint)
            if !attached.contains(attachment) || liveLink(attachment) == nil { try attach(tracepoint) }
        }
    }

    /// Its link can't be given another program: between the two a segment may go uncounted.
    private func attach(_ tracepoint: Tracepoint) throws(BPFError) {
        let attachment = Attachment.retransmitted(tracepoint)
        try detach(attachment)
        guard let link = try programs.attach(to: tracepoint) else { return }
        try link.pin(at: pins.link(attachment.description))
        attached.insert(attachment)
    }

    /// Takes the programs off a pod's interface.
    public func detachPod(_ index: UInt32) throws {
        try detach(.fromPod(index))
        try detach(.toPod(index))
    }

    /// Forgets the links of an interface that is gone.
    public func forgetInterface(_ index: UInt32) {
        for attachment in attachments where attachment.interface == index { _ = try? detach(attachment) }
    }

    /// Takes programs off all uplinks but these, and forgets those of interfaces that are gone. A pod's programs stay
    /// while the interface is there, whether its pod is known or not: without an endpoint they drop everything.
    public func detachOthers(uplinks: Set<UInt32>) {
        for attachment in attachments {
            switch attachment {
            case .fromPod, .toPod:
                if liveLink(attachment) == nil { _ = try? detach(attachment) }
            case .fromNetwork(let index), .toNetwork(let index), .shortcut(let index, _):
                if !uplinks.contains(index) { _ = try? detach(attachment) }
            case .socket, .retransmitted: break
            }
        }
    }

    /// The interfaces of pods that have programs on both sides.
    public var attachedPods: Set<UInt32> {
        Set(
            attached.compactMap(\.interface).filter { attached.contains(.fromPod($0)) && attached.contains(.toPod($0)) }
        )
    }

    /// The names of the links that these interfaces and the sockets should have; `missing`: those that are not there or
    /// will never run again. Attaching makes them anew.
    public func checkLinks(pods: Set<UInt32>, uplinks: Set<UInt32>) -> (count: Int, missing: [String]) {
        let wanted =
            pods.flatMap { [Attachment.fromPod($0), .toPod($0)] }
            + uplinks.flatMap { [Attachment.fromNetwork($0), .toNetwork($0)] } + shortcuts(on: uplinks)
            + SocketHook.allCases.map(Attachment.socket)
            + (programs.countsRetransmissions ? Tracepoint.allCases : []).map(Attachment.retransmitted)
        let missing = wanted.filter { attachment in
            guard let info = liveLink(attachment) else { return true }
            guard let index = attachment.interface else { return false }
            return info.interface != index
        }
        attached.subtract(missing)
        return (wanted.count, missing.map(\.description).sorted())
    }

    var attachments: Set<Attachment> {
        Set(pins.names(in: pins.links).compactMap { Attachment($0) })
    }

    private func attach(_ attachment: Attachment) throws {
        guard let index = attachment.interface, !attached.contains(attachment) else { return }
        if liveLink(attachment)?.interface == index {
            attached.insert(attachment)
            return
        }
        try detach(attachment)
        try link(attachment, index).pin(at: pins.link(attachment.description))
        attached.insert(attachment)
    }

    private func link(_ attachment: Attachment, _ index: UInt32) throws(BPFError) -> BPFLink {
        switch attachment {
        case .fromPod: try BPFLink.attach(programs.fromPod, toInterface: index, .ingress)
        case .toPod: try BPFLink.attach(programs.toPod, toInterface: index, .egress)
        case .toNetwork: try BPFLink.attach(programs.toNetwork, toInterface: index, .egress)
        default: try BPFLink.attach(programs.fromNetwork, toInterface: index, .ingress)
        }
    }

    /// What the kernel says of a pinned link; nil where there is none or it will never run again.
    func liveLink(_ attachment: Attachment) -> BPFLinkInfo? {
        guard let link = try? BPFLink.open(pinned: pins.link(attachment.description)), let info = try? link.info(),
            !info.isDead
        else { return nil }
        return info
    }

    /// Ends a link: its pin is the last handle to it.
    func detach(_ attachment: Attachment) throws(BPFError) {
        attached.remove(attachment)
        try unpin(pins.link(attachment.description))
    }

    /// Every pinned link gets its program of this build; those whose interface is gone are removed.
    func updateLinks() throws {
        for attachment in attachments {
            guard liveLink(attachment) != nil else {
                try detach(attachment)
                continue
            }
            if case .retransmitted(let tracepoint) = attachment {
                // Evidence must not keep packets from being judged by this build: it is tried again when all is attached.
                _ = try? attach(tracepoint)
                continue
            }
            try update(BPFLink.open(pinned: pins.link(attachment.description)), attachment)
        }
    }

    private func update(_ link: borrowing BPFLink, _ attachment: Attachment) throws(BPFError) {
        switch attachment {
        case .fromPod: try link.update(to: programs.fromPod)
        case .toPod: try link.update(to: programs.toPod)
        case .fromNetwork: try link.update(to: programs.fromNetwork)
        case .toNetwork: try link.update(to: programs.toNetwork)
        case .socket(let hook): try link.update(to: try programs.program(for: hook))
        case .shortcut: if try !programs.update(shortcut: link) { try detach(attachment) }
        case .retransmitted: break
        }
    }
}
