import Addressing
import BPF
import DatapathABI
import FlowExport
import Flows
import Glibc
import LinuxKernel
import Logging
import PrometheusText
import Synchronization
import TestSupport

@testable import Agent
@testable import Datapath

/// A data path that nothing is attached to, in a bpf file system of its own, and the agent's collector behind it.
final class FloodNode: Sendable {
    /// Room for some sixteen hundred records.
    static let ringBytes = 256 << 10

    private let mount: String
    private let kernel: KernelBox
    private let program: UInt32
    private let counts = FlowCounters(node: "node-a")
    let evidence = EvidenceCounters()
    let directory = FlowDirectory()

    /// Used from one thread at a time.
    private final class KernelBox: @unchecked Sendable {
        let kernel: DatapathKernel
        init(_ kernel: DatapathKernel) { self.kernel = kernel }
    }

    /// - Parameter configure: the options, of which the maps are small already.
    init(_ configure: (inout DatapathOptions) -> Void = { _ in }) throws {
        var template = Array("/tmp/apus-flood-\(getpid())-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LabError("make a directory", "errno \(errno)") }
        mount = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try BPFFileSystem.mount(at: mount)
        var capacities = TableCapacities(
            endpoints: 64, services: 64, slots: 256, backends: 256, peerClasses: 64, peerPrefixes: 64,
            policyEntries: 64, names: 1024, connections: 1024, halfOpen: 1024)
        capacities.eventBytes = Self.ringBytes
        var options = DatapathOptions(bpffs: "\(mount)/apus", capacities: capacities)
        // Each denied packet is told by itself.
        options.denialInterval = 0
        configure(&options)
        let kernel = try DatapathKernel(options)
        try kernel.activate()
        program = try kernel.programs.fromPod.info().id
        self.kernel = KernelBox(kernel)
    }

    deinit {
        try? BPFFileSystem.unmount(mount)
        rmdir(mount)
    }

    /// Lets packets of nobody's interface through the data path, as fast as the kernel can.
    ///
    /// - Parameter ports: how many different ones they are for, one after the other.
    func flood(_ packets: Int, ports: Int = 1) throws {
        let program = try BPFProgram.open(id: program)
        for port in 0..<ports {
            let packet = Packet.ethernet(from: mac("0a:58:0a:f4:01:01"), to: mac("ee:ee:ee:ee:ee:ee"))
                .ip(from: ip("10.244.1.1"), to: ip("10.244.1.2")).udp(from: 4000, to: Port(5000 + UInt16(port)))
            _ = try program.testRun(packet: packet.bytes, repeat: packets / ports)
        }
    }

    /// What a reader of the hub that misses nothing has seen.
    struct Told {
        var (flows, packets, lost, overwritten): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        /// Packets that the data path was given meanwhile.
        var sent: UInt64 = 0

        mutating func add(_ flow: Flow) {
            guard let loss = flow.loss else {
                (flows, packets) = (flows + 1, packets + flow.count)
                return
            }
            if loss.source == .store { overwritten += loss.count } else { lost += loss.count }
        }
    }

    /// Collects what a flood on a thread of its own makes the data path tell, until nothing is left.
    ///
    /// - Parameters:
    ///   - packets: of the flood, which is repeated.
    ///   - least: as long as fewer flows have been told, another flood follows.
    func collect(_ packets: Int, atLeast least: UInt64 = 0, into hub: FlowHub) async throws -> Told {
        // On a thread of its own, too: among hundreds of tests it would wait for its turn after each look.
        try await withTaskExecutorPreference(OwnThread("collector")) {
            try await collectHere(packets, atLeast: least, into: hub)
        }
    }

    private func collectHere(_ packets: Int, atLeast least: UInt64, into hub: FlowHub) async throws -> Told {
        var worker = try worker(hub)
        let (isOver, isEnough) = (Flag(), Flag())
        if least == 0 { isEnough.set() }
        let flood = Task(executorPreference: OwnThread("flood")) {
            defer { isOver.set() }
            var sent = 0
            repeat {
                if packets > 0 { try self.flood(packets) }
                sent += packets
            } while !isEnough.isSet
            return UInt64(sent)
        }
        var (told, position) = (Told(), FlowPosition())
        var goesOn = true
        while goesOn {
            // Asked before the look: what came before the end is taken after it.
            let wasOver = isOver.isSet
            let taken = worker.collect()
            for flow in hub.since(position) {
                told.add(flow)
                position.pass(flow)
            }
            if told.flows >= least { isEnough.set() }
            goesOn = !wasOver || taken > 0
            await Task.yield()
        }
        told.sent = try await flood.value
        return told
    }

    func worker(_ hub: FlowHub) throws -> Collector.Worker {
        let kernel = kernel.kernel
        return Collector.Worker(
            node: "node-a", detail: .connections, scanInterval: 0, ports: PortUse(capacity: 100),
            events: try kernel.events(),
            scanner: try kernel.connectionScanner(interval: 60_000_000_000), denials: try kernel.denialScanner(),
            answers: AnswerQueue(), directory: directory, hub: hub, evidence: evidence, counters: counts,
            log: Logger(label: "flood"))
    }

    /// What the kernel has counted.
    var counters: EventCounters {
        get throws {
            EventCounters(submitted: try sum(.APUS_EVENTS_SUBMITTED), lost: try sum(.APUS_EVENTS_LOST))
        }
    }

    func sum(_ counter: apus_event_counter) throws -> UInt64 {
        try kernel.kernel.box("event_counters").map.lookupSum(counter.rawValue, as: UInt64.self) ?? 0
    }

    /// One of the data path's maps.
    func map(_ name: String) throws -> BPFMap { try kernel.kernel.box(name).map.duplicate() }

    /// Denied packets that wait to be told.
    var waitingDenials: UInt64 {
        get throws {
            try kernel.kernel.box("denials").map.entries(keys: apus_denial_key.self, values: apus_denial.self)
                .reduce(0) { $0 + $1.value.packets }
        }
    }

    var toldLosses: UInt64 { (try? kernel.kernel.events().toldLosses()) ?? 0 }

    /// The sum of a metric of flows.
    func metric(_ name: String) -> UInt64 {
        let lines = PrometheusText.text(counts.families(directory)).split(separator: "\n")
        return lines.filter { $0.hasPrefix("\(name){") }.compactMap {
            $0.split(separator: " ").last.flatMap { UInt64($0) }
        }
        .reduce(0, +)
    }
}

/// Set once, seen by another thread.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .acquiring) }

    func set() { value.store(true, ordering: .releasing) }
}

/// A record for each flow and each loss, of as many bytes as tell how many events it takes the place of.
struct CountFormat: FlowFormat {
    mutating func take(_ flow: Flow, now: UInt64, into output: inout ExportOutput) {
        output.records.append(ExportRecord("\(flow.loss?.count ?? 1)".utf8, events: flow.loss == nil ? 1 : 0))
    }
}

/// Takes nothing until it is let go, and sums up then.
final class HeldSink: FlowSink {
    private let gate = AsyncStream.makeStream(of: Void.self)
    private let sum = Mutex<UInt64>(0)

    var events: UInt64 { sum.withLock { $0 } }

    func letGo() { gate.continuation.finish() }

    func deliver(_ records: [ExportRecord]) async -> Delivery {
        for await _ in gate.stream {}
        let counts = records.map { UInt64(String(decoding: $0.bytes, as: UTF8.self)) ?? 0 }
        sum.withLock { $0 += counts.reduce(0, +) }
        return Delivery(delivered: records.count)
    }
}
