internal import Addressing
internal import Datapath
internal import FlowExport
internal import Flows
internal import Glibc

/// What the agent does with a record of the ring: CPU time of the thread that does it all.
public struct FlowCost: Sendable {
    /// Nanoseconds for one record: from its bytes in the ring to a flow with the names of rules and of addresses outside.
    public var decoding: Double
    /// Likewise, for the names of both ends and of the Service.
    public var naming: Double
    /// Likewise, for the counters of metrics.
    public var counting: Double
    /// Likewise, for the place in the store, which is full.
    public var storing: Double
    /// Resident bytes for each flow in a full store.
    public var memory: Double

    /// Flows that the store holds.
    public static let capacity = 65_536
    /// As many as the agent takes at once.
    private static let batch = 4096

    /// Measures it with maps of its own, the best of some runs.
    ///
    /// - Parameters:
    ///   - bpffs: A directory on a bpffs; what is made below it is removed.
    ///   - records: How many there are in a run, 200,000 at most.
    public static func measure(bpffs: String, records: Int) throws -> FlowCost {
        defer { _ = try? DatapathKernel.removeAll(bpffs: bpffs) }
        let capacities = TableCapacities(
            endpoints: 128, services: 64, slots: 256, backends: 256, peerClasses: 64, peerPrefixes: 64,
            policyEntries: 64, names: 1024, connections: 1024, halfOpen: 1024, learnedAddresses: 4096,
            learnedNames: 4096, eventBytes: 64 << 20)
        let kernel = try DatapathKernel(DatapathOptions(bpffs: bpffs, capacities: capacities))
        try kernel.activate()
        let source = try FlowRecords(maps: "\(bpffs)/maps")
        var reader = Reader(events: try kernel.events())
        var best: FlowCost?
        for _ in 0..<6 {
            try source.submit(records)
            let cost = try reader.read(records)
            best = best.map { $0.least(cost) } ?? cost
        }
        var result = best ?? FlowCost(decoding: 0, naming: 0, counting: 0, storing: 0, memory: 0)
        result.memory = reader.memory
        return result
    }

    private func least(_ other: FlowCost) -> FlowCost {
        FlowCost(
            decoding: min(decoding, other.decoding), naming: min(naming, other.naming),
            counting: min(counting, other.counting), storing: min(storing, other.storing), memory: memory)
    }

    /// What the agent's collector does, step by step.
    private struct Reader: ~Copyable {
        private var events: EventSource
        private let directory = FlowCluster.directory
        private let hub = FlowHub(capacity: FlowCost.capacity)
        private var metrics = FlowMetrics(node: FlowCluster.node)
        private var flows: [Flow] = []
        /// Resident bytes for each flow, once the store is full.
        private(set) var memory = 0.0

        init(events: consuming EventSource) { self.events = events }

        mutating func read(_ records: Int) throws -> FlowCost {
            var sum = FlowCost(decoding: 0, naming: 0, counting: 0, storing: 0, memory: 0)
            var taken = 0
            let before = Self.resident()
            while true {
                flows.removeAll(keepingCapacity: true)
                var start = Self.cpuTime()
                let count = events.drain(
                    limit: FlowCost.batch, node: FlowCluster.node, clockOffset: 1 << 60, into: &flows)
                if count == 0 { break }
                taken += count
                Self.add(&sum.decoding, &start)
                for index in flows.indices { directory.enrich(&flows[index], clockOffset: 1 << 60) }
                Self.add(&sum.naming, &start)
                metrics.count(flows)
                Self.add(&sum.counting, &start)
                hub.append(flows)
                Self.add(&sum.storing, &start)
            }
            guard taken == records, events.undecodable == 0 else {
                throw DatapathError("\(taken) of \(records) records came out of the ring")
            }
            if memory == 0 { memory = Double(Self.resident() - before) / Double(FlowCost.capacity) }
            let number = Double(records)
            return FlowCost(
                decoding: sum.decoding / number, naming: sum.naming / number, counting: sum.counting / number,
                storing: sum.storing / number, memory: 0)
        }

        private static func add(_ sum: inout Double, _ start: inout UInt64) {
            let now = cpuTime()
            sum += Double(now - start)
            start = now
        }

        /// Nanoseconds that this thread has run.
        private static func cpuTime() -> UInt64 {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        }

        /// Resident bytes of this process.
        private static func resident() -> Int {
            guard let file = fopen("/proc/self/statm", "r") else { return 0 }
            defer { fclose(file) }
            var text = [CChar](repeating: 0, count: 128)
            guard fgets(&text, Int32(text.count), file) != nil else { return 0 }
            let fields = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split(separator: " ")
            return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * sysconf(Int32(_SC_PAGESIZE))
        }
    }
}

/// A cluster of ten thousand pods and a thousand Services, seen from a node with a hundred pods.
enum FlowCluster {
    static let node = "node-0"
    static let localPods = 100
    static let pods = 10_000
    static let services = 1_000

    static func localPod(_ number: Int) -> IPAddress { IPAddress(v4: 0x0af4_0001 + UInt32(number)) }

    /// A pod of another node.
    static func pod(_ number: Int) -> IPAddress {
        IPAddress(v4: 0x0af5_0001 + UInt32(number * 31 % (pods - localPods)))
    }

    static func service(_ number: Int) -> IPAddress { IPAddress(v4: 0x0a60_0001 + UInt32(number % services)) }

    /// The data path's number of a pod of the node.
    static func number(_ pod: Int) -> UInt32 { UInt32(1000 + pod) }

    static var directory: PeerDirectory {
        var directory = PeerDirectory()
        for number in 0..<localPods {
            let pod = peer(number, at: localPod(number), node: node)
            directory.upsert(pod)
            directory.note(
                Self.number(number), of: PeerOwner(kind: .pod, namespace: pod.namespace, name: pod.name), uid: pod.uid)
        }
        for number in 0..<pods - localPods {
            let address = IPAddress(v4: 0x0af5_0001 + UInt32(number))
            directory.upsert(peer(localPods + number, at: address, node: "node-\(1 + number / localPods)"))
        }
        for number in 0..<services {
            let http = ServicePeer.Port(name: "http", port: 80, ipProtocol: .tcp)
            directory.upsert(
                ServicePeer(
                    namespace: "team-\(number % 50)", name: "service-\(number)", addresses: [service(number)],
                    ports: [http]))
        }
        directory.nextNumber = number(localPods)
        return directory
    }

    private static func peer(_ number: Int, at address: IPAddress, node: String) -> PodPeer {
        let app = "app-\(number % 500)"
        return PodPeer(
            namespace: "team-\(number % 50)", name: "\(app)-6d5f9c7b8-\(number)", uid: "uid-\(number)",
            addresses: [address],
            labels: ["app": app, "team": "t\(number % 50)", "tier": "web", "pod-template-hash": "6d5f9c7b8"],
            workload: Peer.Workload(kind: "Deployment", name: app), node: node)
    }
}
