internal import Addressing
internal import DatapathABI
internal import Foundation
internal import LinuxKernel
internal import Synchronization
internal import TestSupport
internal import Testing

private let linkLocal = ip("fe80::1")
private let allNodes = ip("ff02::1")

/// A message of a router, and what becomes of it on the way to a pod.
struct RouterCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let fate: Fate
    let packet: @Sendable (Pod) -> Packet

    init(_ name: String, _ fate: Fate, _ packet: @escaping @Sendable (Pod) -> Packet) {
        (testDescription, self.fate, self.packet) = (name, fate, packet)
    }
}

/// Whom a pod tells where it is.
struct OnBridge: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let address: IPAddress
    var hopLimit: UInt8 = 255
    var isBridged = true
    var passes = false

    static let rows = [
        OnBridge(testDescription: "on the bridge", address: ip("fd00:b::2"), passes: true),
        OnBridge(testDescription: "on the bridge, forwarded", address: ip("fd00:b::2"), hopLimit: 254),
        OnBridge(testDescription: "there, from a pod that is not", address: ip("fd00:b::2"), isBridged: false),
        OnBridge(testDescription: "behind a gateway on the bridge", address: ip("fd00:c::2")),
        OnBridge(testDescription: "on another link", address: ip("fd00:d::2")),
        OnBridge(testDescription: "on another link, of a subnet that is on the bridge", address: ip("fd00:b::d")),
        OnBridge(testDescription: "nowhere", address: ip("fd00:e::2")),
    ]
}

/// A node's namespace with routes by a bridge, `fd00:b::/64`, and by another link, `fd00:d::/64` and `fd00:b::d`.
private final class BridgeNamespace: Sendable {
    let bridge: UInt32
    private let name: String
    private static let counter = Atomic(0)

    init() throws {
        name = "apus-nd-\(getpid())-\(Self.counter.add(1, ordering: .relaxed).newValue)"
        try Self.ip("netns add \(name)")
        let commands = [
            "link add br0 type bridge", "link add other type veth peer name far", "link set br0 up",
            "link set other up",
            "link set far up", "address add fd00:b::1/64 dev br0 nodad", "address add fd00:d::1/64 dev other nodad",
            "route add fd00:b::d dev other", "route add fd00:c::/64 via fd00:b::9 dev br0",
        ]
        do {
            try Self.ip("netns exec \(name) sysctl -qw net.ipv6.conf.all.forwarding=1")
            for command in commands { try Self.ip("-n \(name) \(command)") }
            bridge = try Self.index(of: "br0", in: name)
        } catch {
            try? Self.ip("netns delete \(name)")
            throw error
        }
    }

    deinit { try? Self.ip("netns delete \(name)") }

    private static func index(of interface: String, in namespace: String) throws -> UInt32 {
        var netlink = try Netlink(inNamespaceAt: "/run/netns/\(namespace)")
        return try #require(try netlink.interface(named: interface)).index
    }

    private static func ip(_ command: String) throws {
        let status = system("ip \(command)")
        guard status == 0 else { throw LabError("ip \(command)", "status \(status)") }
    }

    /// Runs on a thread in the namespace.
    func run(_ body: @Sendable () throws -> Void) throws {
        let outcome = Mutex<Result<Void, any Error>>(.success(()))
        try withoutActuallyEscaping(body) { body in
            try NetworkNamespace.run(at: "/run/netns/\(name)") { () throws(KernelError) in
                outcome.withLock { $0 = Result { try body() } }
            }
        }
        try outcome.withLock { try $0.get() }
    }
}

extension Pod {
    /// The start of a packet from the pod's link.
    fileprivate func hears(_ source: IPAddress, to destination: IPAddress, ttl: UInt8) -> Packet {
        .ethernet(from: hostMAC, to: mac).ip(from: source, to: destination, ttl: ttl)
    }
}

@Suite("Neighbour discovery under policies that isolate")
struct NeighbourDiscoveryTests {
    private static let entering = Fate.dropped(entering: .isolated)
    private static let leaving = Fate.dropped(leaving: .isolated)

    private func isolated(_ datapath: DatapathFixture) throws -> Pod {
        try datapath.set(.denyAll)
        return try datapath.addPod(ingress: HandMadePolicy.denyAll.id, egress: HandMadePolicy.denyAll.id)
    }

    /// What one pod says to another by discovery.
    private func messages(from pod: Pod, to other: IPAddress, ttl: UInt8) -> [Packet] {
        [
            pod.sends(to: other, ttl: ttl).neighbourSolicitation(for: other, from: pod.mac),
            pod.sends(to: other, ttl: ttl).neighbourAdvertisement(of: pod.v6, at: pod.mac),
        ]
    }

    @Test("Pods of the node ask and answer each other for hardware addresses, by the link alone")
    func betweenPods() throws {
        let datapath = try DatapathFixture()
        let (one, other) = (try isolated(datapath), try isolated(datapath))
        for packet in messages(from: one, to: other.v6, ttl: 255) {
            #expect(try datapath.run(packet, on: .fromPod(one)) == .passed)
            #expect(try datapath.forward(packet, to: other) == .passed)
        }
        #expect(try datapath.connectionCount() == 0 && datapath.events().isEmpty)
    }

    @Test("What a router has forwarded, or would, is judged", arguments: [254, 64, 1] as [UInt8])
    func forwarded(hopLimit: UInt8) throws {
        let datapath = try DatapathFixture()
        let (one, other) = (try isolated(datapath), try isolated(datapath))
        for packet in messages(from: one, to: other.v6, ttl: hopLimit) {
            #expect(try datapath.run(packet, on: .fromPod(one)) == Self.leaving)
        }
        let open = try datapath.addPod()
        for packet in messages(from: open, to: other.v6, ttl: hopLimit) {
            #expect(try datapath.forward(packet, to: other) == Self.entering)
        }
    }

    @Test(
        "Hosts on a pod's bridge are answered, whatever they are, and what is behind a router is not",
        arguments: OnBridge.rows)
    func onBridge(_ row: OnBridge) throws {
        let namespace = try BridgeNamespace()
        try namespace.run {
            let datapath = try DatapathFixture()
            let one = try isolated(datapath)
            try datapath.setEndpoint(of: one) {
                $0.flags |= (row.isBridged ? namespace.bridge : 0) << APUS_ENDPOINT_BRIDGE_SHIFT
            }
            for packet in messages(from: one, to: row.address, ttl: row.hopLimit) {
                #expect(try datapath.run(packet, on: .fromPod(one)) == (row.passes ? .passed : Self.leaving))
            }
            #expect(try datapath.run(one.sends(to: row.address, ttl: 255).echo(), on: .fromPod(one)) == Self.leaving)
        }
    }

    @Test("Nothing leaves the node by it, and no pod answers for another's address")
    func leavingTheNode() throws {
        let datapath = try DatapathFixture()
        let (one, other) = (try isolated(datapath), try isolated(datapath))
        for packet in messages(from: one, to: Family.v6.outside, ttl: 255) {
            #expect(try datapath.run(packet, on: .fromPod(one)) == Self.leaving)
        }
        let claim = one.sends(to: other.v6, ttl: 255).neighbourAdvertisement(of: ip("fd00::77"), at: one.mac)
        #expect(try datapath.run(claim, on: .fromPod(one)) == .dropped(leaving: .invalidSource))
        try datapath.remove(other)
        for packet in messages(from: one, to: other.v6, ttl: 255) {
            #expect(try datapath.run(packet, on: .fromPod(one)) == Self.leaving)
        }
    }

    @Test("What a neighbour asks for at an uplink is the stack's to answer")
    func atUplink() throws {
        let datapath = try DatapathFixture()
        let pod = try isolated(datapath)
        let asked = pod.receives(from: Family.v6.outside, ttl: 255).neighbourSolicitation(
            for: pod.v6, from: pod.hostMAC)
        #expect(try datapath.run(asked, on: .fromNetwork) == .passed)
        let farther = pod.receives(from: Family.v6.outside).neighbourSolicitation(for: pod.v6, from: pod.hostMAC)
        #expect(try datapath.run(farther, on: .fromNetwork) == Self.entering)
    }

    static let routers: [RouterCase] = [
        RouterCase("a router advertisement", .passed) { $0.hears(linkLocal, to: allNodes, ttl: 255).icmp(type: 134) },
        RouterCase("one that was forwarded", entering) { $0.hears(linkLocal, to: allNodes, ttl: 254).icmp(type: 134) },
        RouterCase("one from another address", entering) {
            $0.hears(Family.v6.outside, to: allNodes, ttl: 255).icmp(type: 134)
        },
        RouterCase("one in a first fragment", entering) {
            $0.hears(linkLocal, to: allNodes, ttl: 255).ipv6Fragment(Fragment(offset: 0, more: true)).icmp(type: 134)
        },
        RouterCase("a redirect", .passed) { $0.receives(from: linkLocal, ttl: 255).icmp(type: 137) },
        RouterCase("one from another address", entering) {
            $0.receives(from: Family.v6.outside, ttl: 255).icmp(type: 137)
        },
        RouterCase("one that was forwarded", entering) { $0.receives(from: linkLocal).icmp(type: 137) },
        RouterCase("a listener query", .passed) {
            $0.hears(linkLocal, to: allNodes, ttl: 1).ipv6Extension(.hopByHop, options: [5, 2, 0, 0]).icmp(type: 130)
        },
        RouterCase("one for a group of the site", .passed) {
            $0.hears(linkLocal, to: ip("ff05::2"), ttl: 1).ipv6Extension(.hopByHop, options: [5, 2, 0, 0])
                .icmp(type: 130)
        },
        RouterCase("one with another hop limit", entering) {
            $0.hears(linkLocal, to: allNodes, ttl: 255).icmp(type: 130)
        },
        RouterCase("one from another address", entering) {
            $0.hears(Family.v6.outside, to: allNodes, ttl: 1).icmp(type: 130)
        },
        RouterCase("an echo with the same addresses", entering) { $0.hears(linkLocal, to: allNodes, ttl: 255).echo() },
    ]

    @Test("A router on a pod's link is heard, whichever it is", arguments: routers)
    func router(_ row: RouterCase) throws {
        let datapath = try DatapathFixture()
        let pod = try isolated(datapath)
        #expect(try datapath.forward(row.packet(pod), to: pod) == row.fate)
        #expect(try datapath.connectionCount() == 0)
    }

    @Test("A pod is no router", arguments: [130, 134, 137] as [UInt8])
    func fromPod(type: UInt8) throws {
        let datapath = try DatapathFixture()
        let (pod, other) = (try datapath.addPod(), try datapath.addPod())
        for ttl in [1, 255] as [UInt8] {
            for destination in [allNodes, other.v6] {
                let packet = pod.frame().ip(from: linkLocal, to: destination, ttl: ttl).icmp(type: type)
                #expect(try datapath.run(packet, on: .fromPod(pod)) == .dropped(leaving: .invalidSource))
            }
        }
    }
}
