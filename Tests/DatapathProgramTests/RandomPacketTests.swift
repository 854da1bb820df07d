internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// Frames from a stock of well-formed ones: as they are, damaged, cut, padded, or nothing but noise.
private struct FrameSource {
    private let stock: [[UInt8]]
    private var random: SeededGenerator

    init(seed: UInt64, addresses: [IPAddress], link: (source: MACAddress, destination: MACAddress)) {
        var packets = RandomPackets(seed: seed, addresses: addresses, ports: [53, 80, 81, 443, 40000], link: link)
        stock = (0..<3000).map { _ in packets.wellFormed().bytes } + Self.neighbourDiscovery(link, addresses)
        random = SeededGenerator(seed: ~seed)
    }

    private static func neighbourDiscovery(
        _ link: (source: MACAddress, destination: MACAddress), _ addresses: [IPAddress]
    ) -> [[UInt8]] {
        let groups = ["fe80::1", "ff02::1", "ff02::16", "ff05::2"].map { ip($0) }
        let sources = addresses.filter { !$0.isIPv4 } + [.unspecifiedIPv6, ip("fe80::1")]
        return sources.flatMap { source in
            groups.flatMap { group in
                [130, 131, 133, 134, 135, 136, 137, 143].map { (type: UInt8) in
                    Packet.ethernet(from: link.source, to: link.destination).ip(from: source, to: group, ttl: 255)
                        .icmp(type: type).payload([UInt8](repeating: 0, count: 16)).bytes
                }
            }
        }
    }

    private mutating func number(below count: Int) -> Int { Int(random.next() % UInt64(max(1, count))) }
    private mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: random.next()) }

    mutating func next() -> [UInt8] {
        var frame = stock[number(below: stock.count)]
        let way = number(below: 16)
        switch way {
        case 0, 1: break
        case 2: frame.removeLast(number(below: frame.count - 14))
        case 3: for _ in 0..<number(below: 60) { frame.append(byte()) }
        case 4: frame.append(contentsOf: repeatElement(byte(), count: number(below: 2800)))
        case 5:
            frame.removeLast(frame.count - 14)
            for _ in 0..<number(below: 80) { frame.append(byte()) }
        case 6:  // another header's start where one ended
            let other = stock[number(below: stock.count)]
            let place = 14 + number(below: 60)
            if place < frame.count, place < other.count { frame = Array(frame[..<place] + other[place...]) }
        default:  // most of what confuses is within the first eighty bytes
            for _ in 0..<1 + number(below: 3) { frame[number(below: min(frame.count, 84))] = byte() }
        }
        return frame
    }
}

/// What the pod that sends and gets the frames lives under.
enum Scene: CaseIterable {
    /// Isolated, and nothing is allowed.
    case closed
    /// Isolated, and one TCP port is allowed in both directions.
    case web
    /// As `web`, with Services that lead to that port and to others, and one without endpoints.
    case services

    /// The TCP port that is allowed.
    var port: Port? { self == .closed ? nil : 80 }

    var policy: HandMadePolicy { self == .closed ? .denyAll : .onlyHTTP }

    /// Frontends of TCP and their backends.
    static let frontends: [(frontend: SocketAddress, backend: SocketAddress)] = [
        (SocketAddress(ip("10.96.0.1"), 443), SocketAddress(Family.v4.outside, 80)),
        (SocketAddress(ip("fd00:96::1"), 443), SocketAddress(Family.v6.outside, 80)),
        (SocketAddress(ip("10.96.0.1"), 80), SocketAddress(Family.v4.outside, 81)),
    ]
    static let withoutEndpoints = [SocketAddress(ip("10.96.0.2"), 80), SocketAddress(ip("fd00:96::2"), 80)]

    var addresses: [IPAddress] {
        self == .services ? ["10.96.0.1", "fd00:96::1", "10.96.0.2", "fd00:96::2"].map { ip($0) } : []
    }

    func prepare(_ datapath: DatapathFixture) throws {
        guard self == .services else { return }
        for (frontend, backend) in Self.frontends {
            try datapath.addService(frontend, to: [backend])
            try datapath.addService(frontend, .udp, to: [backend])
        }
        for frontend in Self.withoutEndpoints { try datapath.addService(frontend, to: []) }
    }
}

/// Why a frame may pass, by a parser that shares nothing with the data path.
private struct Judge {
    let pod: Pod
    let scene: Scene
    /// What the ends of the connections that opened so far would send, either way.
    private var known: Set<FlowTuple> = []
    /// The ports of the first fragments that came so far, whatever became of them.
    private var firstFragments: [FragmentedPacket: Set<FlowTuple>] = [:]

    /// What all fragments of a packet have in common.
    private struct FragmentedPacket: Hashable {
        let source, destination: IPAddress
        let identification: UInt32
    }

    init(pod: Pod, scene: Scene) { (self.pod, self.scene) = (pod, scene) }

    /// Takes note of a frame before it is run.
    mutating func note(_ frame: [UInt8]) {
        guard let view = PacketView(frame), let packet = fragmented(view), view.fragment?.offset == 0,
            let tuple = view.connectionTuple
        else { return }
        firstFragments[packet, default: []].insert(tuple)
    }

    private func fragmented(_ view: PacketView) -> FragmentedPacket? {
        guard let source = view.source, let destination = view.destination, let number = view.identification else {
            return nil
        }
        return FragmentedPacket(source: source, destination: destination, identification: number)
    }

    /// What is wrong with letting a frame of the pod out; nil when it is right.
    mutating func objection(leaving frame: [UInt8], _ verdict: UInt32) -> String? {
        if isNotJudged(frame) { return announcement(frame) }
        guard let view = PacketView(frame), let source = view.source else { return "unreadable" }
        guard view.sourceMAC == pod.mac else { return "another hardware address" }
        if isOnLink(view) {
            let isOwn = source.isLinkLocal || source == .unspecifiedIPv6 || pod.addresses.contains(source)
            return isOwn ? nil : "neighbour discovery from another source"
        }
        guard pod.addresses.contains(source) else { return "another source" }
        if isUnforwarded(frame, view), let destination = view.destination, pod.addresses.contains(destination) {
            return nil
        }
        // A Service without endpoints answers by itself, into the pod.
        if isForNobody(view) { return verdict == Verdict.redirect ? nil : "passed to a Service without endpoints" }
        return objection(view, toBackend: true)
    }

    /// What is wrong with letting out a frame that says which address is where; nil where it is none.
    private func announcement(_ frame: [UInt8]) -> String? {
        guard frame[12...13] == [0x08, 0x06] else { return nil }
        guard let view = PacketView(frame), let message = view.arp else { return "unreadable ARP" }
        guard view.sourceMAC == pod.mac, message.sender.mac == pod.mac else { return "ARP of another hardware address" }
        let sender = message.sender.address
        return sender == pod.v4 || sender == .unspecifiedIPv4 ? nil : "ARP for another address"
    }

    /// What is wrong with letting a frame leave by an uplink, where nobody outside is served: it must be as it was.
    func objection(goingOut frame: [UInt8], _ verdict: UInt32, as output: [UInt8]) -> String? {
        guard verdict == Verdict.next else { return "taken from the host" }
        return output == frame ? nil : "changed"
    }

    private func isForNobody(_ view: PacketView) -> Bool {
        guard scene == .services, view.ipProtocol == .tcp, let tuple = view.connectionTuple else { return false }
        return !known.contains(tuple) && Scene.withoutEndpoints.contains(tuple.destination)
    }

    /// What is wrong with letting a frame into the pod; nil when it is right.
    mutating func objection(entering frame: [UInt8]) -> String? {
        if isNotJudged(frame) { return nil }
        guard let view = PacketView(frame), let destination = view.destination else { return "unreadable" }
        let isForAll = destination.isMulticast || destination.isLinkLocal || frame[0] & 1 != 0
        guard isForAll || pod.addresses.contains(destination) else { return "for another address" }
        return isOnLink(view) || isUnforwarded(frame, view) ? nil : objection(view)
    }

    /// Whether neighbour discovery comes to the pod's own address from its link: its hop limit is what it was.
    private func isUnforwarded(_ frame: [UInt8], _ view: PacketView) -> Bool {
        guard view.ipProtocol == .icmpv6, view.fragment == nil || view.fragment == Fragment(offset: 0, more: false),
            let type = view.icmpType
        else { return false }
        return (135...136).contains(type) && frame[21] == 255
    }

    /// What is wrong with letting a frame from the network pass.
    mutating func objection(arriving frame: [UInt8], _ verdict: UInt32) -> String? {
        guard let view = PacketView(frame), let destination = view.destination, pod.addresses.contains(destination)
        else {
            return verdict == Verdict.redirect ? "delivered to nobody" : nil  // the host's
        }
        // Behind a tag that is still in the frame only the host's stack looks; what it then sends to the pod is judged there.
        if !view.vlans.isEmpty, verdict != Verdict.redirect { return nil }
        if let source = view.source, pod.addresses.contains(source) { return "the pod's own source" }
        return objection(entering: frame)
    }

    private func isNotJudged(_ frame: [UInt8]) -> Bool {
        guard frame.count >= 16 else { return false }
        switch UInt16(frame[12]) << 8 | UInt16(frame[13]) {
        case 0x0806: return true
        case 0x8100, 0x88a8: return frame[14] & 0x0f != 0 || frame[15] != 0  // not the priority tag alone
        default: return false
        }
    }

    /// - Parameter toBackend: Whether a Service's frontend stands for its backend, which is what policy is about.
    private mutating func objection(_ view: PacketView, toBackend: Bool = false) -> String? {
        if view.source == view.destination {  // a pod reaches itself
            if let tuple = view.connectionTuple { known.formUnion([tuple, tuple.reversed]) }
            return nil
        }
        if let quoted = quotedTuple(view), known.contains(quoted), quoted.source.address == view.destination {
            return nil
        }
        guard let port = scene.port else { return "nothing is allowed" }
        // A later fragment goes the way of its first one. In IPv6 even its next header means nothing: that of the first
        // one counts (RFC 8200 §4.5).
        if let fragment = view.fragment, fragment.offset > 0 {
            let firsts = fragmented(view).flatMap { firstFragments[$0] } ?? []
            let right = firsts.filter { known.contains($0) || isAllowed($0, port, toBackend: toBackend) }
            // One may open a connection, too, which with a Service is one to the backend.
            for tuple in right {
                let judged = toBackend ? translated(tuple) : tuple
                known.formUnion([tuple, tuple.reversed, judged, judged.reversed])
            }
            return right.isEmpty ? "a fragment of what is not allowed" : nil
        }
        guard view.ipProtocol == .tcp, let tuple = view.connectionTuple else { return "not TCP" }
        let judged = toBackend ? translated(tuple) : tuple
        if known.contains(tuple) {
            // An answer to whoever has used the frontend's address for its own may open a connection to the backend.
            if judged.destination.port == port { known.formUnion([judged, judged.reversed]) }
            return nil
        }
        guard view.tcpFlags != nil else { return "no TCP flags" }
        // A straggler of a connection that the backend has opened: the pod could send it to the backend itself, too. Or
        // one that opens beside that, by another port.
        if known.contains(judged) {
            if judged.destination.port == port { known.formUnion([tuple, tuple.reversed]) }
            return nil
        }
        guard judged.destination.port == port else { return "another port" }
        known.formUnion([tuple, tuple.reversed, judged, judged.reversed])
        return nil
    }

    private func isAllowed(_ tuple: FlowTuple, _ port: Port, toBackend: Bool) -> Bool {
        tuple.ipProtocol == .tcp && (toBackend ? translated(tuple) : tuple).destination.port == port
    }

    private func translated(_ tuple: FlowTuple) -> FlowTuple {
        guard scene == .services, let service = Scene.frontends.first(where: { $0.frontend == tuple.destination })
        else { return tuple }
        return FlowTuple(source: tuple.source, destination: service.backend, ipProtocol: tuple.ipProtocol)
    }

    /// The tuple of the packet that an ICMP error quotes, whatever that packet says of its length: stacks disagree on it.
    private func quotedTuple(_ view: PacketView) -> FlowTuple? {
        let types: ClosedRange<UInt8> = view.ipProtocol == .icmpv6 ? 1...4 : 3...12
        guard let type = view.icmpType, types.contains(type), view.payload.count >= 20 else { return nil }
        var quoted = view.payload
        let length = quoted[0] >> 4 == 4 ? 2 : 4
        quoted[length] = 0xff
        return PacketView(network: quoted)?.connectionTuple
    }

    private func isOnLink(_ view: PacketView) -> Bool {
        guard view.ipProtocol == .icmpv6, view.fragment == nil || view.fragment == Fragment(offset: 0, more: false),
            let type = view.icmpType, (130...137).contains(type) || type == 143,
            let source = view.source, let destination = view.destination
        else { return false }
        return source.isLinkLocal || source == .unspecifiedIPv6 || destination.isLinkLocal
            || destination.high >> 48 & 0xff0f == 0xff02
    }
}

@Suite("Random, damaged, cut and oversized frames")
struct RandomPacketTests {
    private static let seeds = withFreshSeed(
        [1, 15_071_431_686_944_810_220, 7_277_160_041_273_937_835], of: "RandomPacketTests")
    /// Those that the kernel refuses, as they are shorter than it lets any frame be, do not count.
    private static let runs = 1_000_000
    private static let runsPerCase = runs / (seeds.count * Scene.allCases.count) + 1

    @Test("A million runs let nothing pass as something that it is not", arguments: seeds, Scene.allCases)
    func neverPass(seed: UInt64, scene: Scene) throws {
        let datapath = try DatapathFixture(
            { $0.flow_detail = FlowDetail.none.abi }, sizes: ["connections": 16_384, "half_open": 16_384])
        try datapath.set(scene.policy)
        try scene.prepare(datapath)
        let pod = try datapath.addPod(ingress: scene.policy.id, egress: scene.policy.id)
        // The interface of every test run, so that the uplink's programs look at what comes and goes there.
        try datapath.maps.uplinks.update(
            UInt32(1), apus_uplink(v4: .none, v6: .none, flags: APUS_UPLINK_SERVES.rawValue, route_mtu: 0))
        var judge = Judge(pod: pod, scene: scene)
        let addresses = pod.addresses + [Family.v4.outside, Family.v6.outside, ip("10.244.1.77"), ip("fd00::77")]
        // Frames of its own for each scene.
        let ownSeed = scene.addresses.isEmpty ? seed &+ UInt64(scene.port ?? 0) : ~seed
        var source = FrameSource(
            seed: ownSeed, addresses: addresses + scene.addresses, link: (pod.mac, pod.hostMAC))
        var (ran, passed, number) = (0, 0, 0)
        while ran < Self.runsPerCase {
            number += 1
            let frame = source.next()
            judge.note(frame)
            for hook in [Hook.fromPod(pod), .toPod(pod), .fromNetwork, .toNetwork] {
                guard let verdict = try? datapath.verdict(frame, on: hook) else { continue }
                ran += 1
                if verdict == Verdict.drop, !hook.isLeavingNode { continue }
                passed += 1
                let objection: String? =
                    switch hook {
                    case .fromPod: judge.objection(leaving: frame, verdict)
                    case .toPod: judge.objection(entering: frame)
                    case .fromNetwork, .overheard: judge.objection(arriving: frame, verdict)
                    case .toNetwork: judge.objection(goingOut: frame, verdict, as: datapath.output)
                    }
                if let objection {
                    Issue.record(
                        "seed \(seed), \(scene), frame \(number), \(hook): \(objection): \(Packet.hexadecimal(frame))")
                    return
                }
            }
        }
        #expect(passed > 1000)
    }
}

extension Hook {
    fileprivate var isLeavingNode: Bool {
        if case .toNetwork = self { true } else { false }
    }
}
