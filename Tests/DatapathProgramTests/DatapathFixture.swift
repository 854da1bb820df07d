internal import Addressing
internal import BPF
internal import DatapathABI
internal import Foundation
internal import TestSupport

/// Where a packet meets the data path.
enum Hook {
    /// The pod sends it.
    case fromPod(Pod)
    /// The host's stack sends it to the pod.
    case toPod(Pod)
    /// It comes in on an uplink, for this node.
    case fromNetwork
    /// It comes by an uplink, for the host whose hardware address the frame has.
    case overheard
    /// It leaves by an uplink. To the program every packet of a test run is one of a process of the node.
    case toNetwork
}

/// What became of a packet.
enum Fate: Hashable {
    /// On to the host's stack, or to the next program.
    case passed
    /// Straight into a pod.
    case delivered
    case dropped(apus_reason, apus_direction)
    /// A return value that no program should give.
    case impossible(UInt32)

    static func dropped(leaving reason: apus_reason) -> Fate { .dropped(reason, .APUS_DIRECTION_EGRESS) }
    static func dropped(entering reason: apus_reason) -> Fate { .dropped(reason, .APUS_DIRECTION_INGRESS) }

    var isPassing: Bool { self == .passed || self == .delivered }
}

/// What almost every table has both of.
enum Family: CaseIterable, Sendable {
    case v4, v6

    /// An address that is no pod's.
    var outside: IPAddress { self == .v4 ? Journey.outside.v4 : Journey.outside.v6 }
    /// An address that Services have.
    var virtual: IPAddress { self == .v4 ? ip("10.96.0.10") : ip("fd96::10") }
}

/// A pod of the fixture's node.
struct Pod: Hashable {
    let slot: UInt32
    let addresses: [IPAddress]
    let mac: MACAddress
    /// The host's end of the pod's link.
    let hostMAC: MACAddress

    var v4: IPAddress { addresses[0] }
    var v6: IPAddress { addresses[1] }
    subscript(family: Family) -> IPAddress { family == .v4 ? v4 : v6 }
    func address(like other: IPAddress) -> IPAddress { other.isIPv4 ? v4 : v6 }

    /// The start of a packet that the pod sends.
    func sends(to destination: IPAddress, ttl: UInt8 = 64) -> Packet {
        frame().ip(from: address(like: destination), to: destination, ttl: ttl)
    }

    /// A frame from the pod to the host, without a network header.
    func frame() -> Packet { .ethernet(from: mac, to: hostMAC) }

    /// The start of a packet that comes to the pod.
    func receives(from source: IPAddress, ttl: UInt8 = 64) -> Packet {
        Packet.ethernet(from: hostMAC, to: mac).ip(from: source, to: address(like: source), ttl: ttl)
    }
}

/// The data path's programs on maps of their own, and pods to put packets through.
///
/// Every packet of a test run comes from the loopback interface; the fixture lets that be the interface of the pod that
/// the packet is for, so nothing is attached anywhere.
final class DatapathFixture {
    private static let loopback: UInt32 = 1
    /// Its hardware address: a frame for another one is for another host.
    private static let ownMAC = [UInt8](repeating: 0, count: 6)

    let loaded: LoadedDatapath
    var maps: DatapathMaps { loaded.maps }
    private var interfaceSlot: UInt32 = 0
    private var lastSourcePort: UInt16 = 1023
    /// What the kernel is told of packets to pods, as a `struct __sk_buff`; empty: they are of a process of the node.
    private var context: [UInt8] = []
    var pods: [Pod] = []
    /// Slots and backends that Services have, from 1.
    var serviceSlots = 0
    /// The packet of the last run, as the program left it.
    private(set) var output: [UInt8] = []

    init(_ configure: (inout apus_config) -> Void = { _ in }, sizes: [String: Int] = [:]) throws {
        var config = Self.defaults
        configure(&config)
        loaded = try LoadedDatapath.acquire(config, sizes: sizes)
    }

    deinit { loaded.release() }

    /// Timeouts that no test waits for.
    static let defaults = apus_config(
        half_open_timeout_ns: 60 * second, established_timeout_ns: 3600 * second, closing_timeout_ns: 10 * second,
        datagram_timeout_ns: 60 * second, denial_interval_ns: 5 * second, fragment_timeout_ns: 30 * second,
        name_minimum_ns: 5 * second, name_grace_ns: 5 * second, question_timeout_ns: 30 * second, node_namespace: 0,
        wakeup_bytes: 1 << 20, redirect_peer: 1, flow_detail: FlowDetail.connections.abi, keep_connections: 0,
        direct_return: 0, source_port_first: 61000,
        source_port_count: 4536, address_share: 65_536, name_share: 131_072,
        redirect_uplink: 0, padding: (0, 0, 0))
    static let second: UInt64 = 1_000_000_000
}

// MARK: - Time

extension DatapathFixture {
    /// Waits until the data path's clock, which goes in steps of some milliseconds, is later than any time so far.
    func passTime() {
        let now = nanoseconds(of: CLOCK_MONOTONIC)
        while nanoseconds(of: CLOCK_MONOTONIC_COARSE) <= now + 1 { usleep(500) }
    }

    func nanoseconds(of clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * Self.second + UInt64(time.tv_nsec)
    }
}

// MARK: - Packets

extension DatapathFixture {
    /// Puts a packet through a hook.
    @discardableResult
    func run(_ packet: Packet, on hook: Hook) throws -> Fate { try run(packet.bytes, on: hook) }

    /// Puts a frame through a hook, and finds the reason of a drop in the drop counters.
    ///
    /// - Parameter gsoSize: Of a packet that the kernel has merged, bytes of payload that each was of; 0: it has not.
    func run(_ frame: [UInt8], on hook: Hook, gsoSize: UInt32 = 0) throws -> Fate {
        let before = try drops()
        if gsoSize != 0 { context = Self.merged(size: gsoSize) }
        defer { if gsoSize != 0 { context = [] } }
        let verdict = try verdict(frame, on: hook)
        guard verdict == Verdict.drop else { return Fate(verdict) }
        let after = try drops()
        let changed = after.keys.filter { after[$0]?.packets != before[$0]?.packets }
        guard changed.count == 1, let key = changed.first else { return .impossible(verdict) }
        return .dropped(key.reason, key.direction)
    }

    /// The `struct __sk_buff` of a packet that came in by the loopback interface: `ingress_ifindex` is its tenth word.
    private static let received: [UInt8] = {
        var bytes = [UInt8](repeating: 0, count: 256)
        withUnsafeBytes(of: loopback) { bytes.replaceSubrange(36..<40, with: $0) }
        return bytes
    }()

    /// Lets the host's stack send a pod what it got from an interface, as a packet of others that it forwards.
    func forward(_ packet: Packet, to pod: Pod) throws -> Fate {
        context = Self.received
        defer { context = [] }
        return try run(packet, on: .toPod(pod))
    }

    /// The return value alone, for many packets.
    ///
    /// - Parameter isReceived: Whether what a pod gets came in by another interface.
    func verdict(_ frame: [UInt8], on hook: Hook, isReceived: Bool = false) throws -> UInt32 {
        if isReceived { context = Self.received }
        defer { if isReceived { context = [] } }
        guard case .fromNetwork = hook else {
            let run = try testRun(frame, on: hook)
            output = run.packet
            return run.returnValue
        }
        let run = try testRun(frame.addressed(to: Self.ownMAC), on: hook)
        output = run.packet.naming(frame.prefix(6), insteadOf: Self.ownMAC)
        return run.returnValue
    }

    /// The mean time of a run in nanoseconds.
    func nanoseconds(_ packet: Packet, on hook: Hook, repeat count: Int) throws -> UInt32 {
        guard case .fromNetwork = hook else { return try testRun(packet.bytes, on: hook, repeat: count).duration }
        // Another host's would be left alone at once.
        return try testRun(packet.bytes.addressed(to: Self.ownMAC), on: hook, repeat: count).duration
    }

    private func testRun(_ frame: [UInt8], on hook: Hook, repeat count: Int = 1) throws -> BPFTestRun {
        switch hook {
        case .fromPod(let pod):
            try letInterfaceBe(pod.slot)
            return try loaded.fromPod.testRun(packet: frame, repeat: count)
        case .toPod(let pod):
            try letInterfaceBe(pod.slot)
            return try loaded.toPod.testRun(packet: frame, context: context, repeat: count)
        case .fromNetwork, .overheard:
            return try loaded.fromNetwork.testRun(packet: frame, context: context, repeat: count)
        case .toNetwork:
            return try loaded.toNetwork.testRun(packet: frame, repeat: count)
        }
    }

    /// Puts datagrams of one sender that the receive offload has merged through the hook of a pod.
    ///
    /// - Parameter size: of each of them but the last one, in bytes without headers.
    func runMerged(_ packet: Packet, toPod pod: Pod, size: Int, count: Int) throws -> Fate {
        try letInterfaceBe(pod.slot)
        let context = Self.merged(size: UInt32(size), count: UInt32(count))
        return Fate(try loaded.toPod.testRun(packet: packet.bytes, context: context).returnValue)
    }

    /// The `struct __sk_buff` of what was merged: its size, and where gso_segs and gso_size are.
    private static func merged(size: UInt32, count: UInt32 = 2) -> [UInt8] {
        var context = [UInt8](repeating: 0, count: 192)
        context.withUnsafeMutableBytes {
            $0.storeBytes(of: count, toByteOffset: 164, as: UInt32.self)
            $0.storeBytes(of: size, toByteOffset: 176, as: UInt32.self)
        }
        return context
    }

    private func letInterfaceBe(_ slot: UInt32) throws {
        if slot == interfaceSlot { return }
        try maps.interfaces.update(Self.loopback, slot)
        interfaceSlot = slot
    }

    /// Lets no endpoint own the interface that packets come from.
    func forgetInterface() throws {
        try maps.interfaces.delete(Self.loopback)
        interfaceSlot = 0
    }

    /// The packet of the last run, read back.
    var outputView: PacketView? { PacketView(output) }
}

extension [UInt8] {
    /// The frame for a host on the link; one for many hosts stays so.
    fileprivate func addressed(to host: [UInt8]) -> [UInt8] { self[0] & 1 == 1 ? self : host + dropFirst(6) }

    /// The frame with another hardware address wherever it has this one.
    fileprivate func naming(_ name: ArraySlice<UInt8>, insteadOf host: [UInt8]) -> [UInt8] {
        var copy = self
        for place in [0..<6, 6..<12] where copy[place].elementsEqual(host) { copy.replaceSubrange(place, with: name) }
        return copy
    }
}

/// What a classifier returns.
enum Verdict {
    static let next = UInt32.max
    static let drop: UInt32 = 2
    static let redirect: UInt32 = 7
}

extension Fate {
    fileprivate init(_ verdict: UInt32) {
        switch verdict {
        case Verdict.next: self = .passed
        case Verdict.redirect: self = .delivered
        default: self = .impossible(verdict)
        }
    }
}

// MARK: - Counters and events

struct DropKey: Hashable {
    let reason: apus_reason
    let direction: apus_direction
}

extension DatapathFixture {
    private static let directions = [apus_direction.APUS_DIRECTION_EGRESS, .APUS_DIRECTION_INGRESS]

    /// What was dropped so far, by reason and direction.
    func drops() throws -> [DropKey: (packets: UInt64, bytes: UInt64)] {
        var result: [DropKey: (packets: UInt64, bytes: UInt64)] = [:]
        for number in 0..<apus_reason.APUS_REASON_COUNT.rawValue {
            for direction in Self.directions {
                let index = number * 2 + direction.rawValue
                let sum = try maps.drops.reducePerCPU(index, as: apus_drop_counter.self, into: (UInt64(0), UInt64(0))) {
                    $0 = ($0.0 + $1.packets, $0.1 + $1.bytes)
                }
                guard let sum, let reason = apus_reason(rawValue: number), sum.0 > 0 else { continue }
                result[DropKey(reason: reason, direction: direction)] = (packets: sum.0, bytes: sum.1)
            }
        }
        return result
    }

    /// The events that were not read yet.
    func events() -> [Event] {
        var result: [Event] = []
        _ = loaded.ring.drain { record in
            result.append(Event(record: record.withUnsafeBytes { $0.loadUnaligned(as: apus_event.self) }))
        }
        return result
    }

    /// The DNS answers that were not read yet.
    func answers() -> [apus_answer_event] {
        var result: [apus_answer_event] = []
        _ = loaded.toldAnswers.drain { record in
            result.append(record.withUnsafeBytes { $0.loadUnaligned(as: apus_answer_event.self) })
        }
        return result
    }

    /// A source port that no packet of this fixture had before: a tuple twice would be one connection.
    func nextSourcePort() -> UInt16 {
        lastSourcePort += 1
        return lastSourcePort
    }

    func eventCount(_ counter: apus_event_counter) throws -> UInt64 {
        try maps.eventCounters.lookupSum(counter.rawValue, as: UInt64.self) ?? 0
    }
}
