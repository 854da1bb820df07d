internal import Addressing
internal import BPF
internal import Datapath
internal import DatapathABI
internal import LinuxKernel

/// The maps of a fixture as the agent's tables write them, in their order.
///
/// What leads to a pod is the fixture's own, so of an endpoint only what judges it is written. The pods have to be given
/// to the tables in the order in which the fixture got them.
struct FixtureWriter: MapWriter {
    private let datapath: DatapathFixture
    private static let barrier = try? ProgramBarrier()

    init(_ datapath: DatapathFixture) { self.datapath = datapath }

    func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult {
        onMap(table, entries.count) { map in
            let (keys, values) = (entries.flatMap(\.key), entries.flatMap(\.value))
            let result = map.update(packedKeys: keys.span.bytes, packedValues: values.span.bytes)
            return BatchResult(done: result.written, error: result.failure.map(Self.error))
        }
    }

    func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult {
        onMap(table, keys.count) { map in
            for (index, key) in keys.enumerated() {
                do throws(BPFError) { try map.delete(key.span.bytes) } catch {
                    return BatchResult(done: index, error: Self.error(error))
                }
            }
            return BatchResult(done: keys.count)
        }
    }

    func store(_ table: DatapathTable, first: Int, _ elements: Bytes) -> MapError? {
        if table == .policyEpoch {
            return onMap(table, 1) { map in
                let result = map.update(packedKeys: [UInt32(0)].span.bytes, packedValues: elements.span.bytes)
                return BatchResult(done: result.written, error: result.failure.map(Self.error))
            }.error
        }
        guard table == .endpoints else { return nil }
        for offset in 0..<elements.count / table.valueSize {
            let start = offset * table.valueSize
            let element = elements.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: start, as: apus_endpoint.self)
            }
            do {
                try datapath.setEndpoint(of: datapath.pods[first + offset - 1]) {
                    $0.epochs = element.epochs
                    $0.coming_policy = element.coming_policy
                }
            } catch { return MapError(code: 5, description: "\(error)") }
        }
        return nil
    }

    /// Each wait begins when it is asked about.
    func beginWait() -> UInt64 { 1 }

    func endWait(_ number: UInt64) -> MapError? {
        guard let barrier = Self.barrier else { return MapError(code: 5, description: "no barrier") }
        do throws(BPFError) {
            try barrier.begin().end()
            return nil
        } catch { return Self.error(error) }
    }

    func install(_ program: DomainProgram?) -> DomainInstallation { .done }

    func copyLearned(from old: UInt32, to new: UInt32) -> MapError? { nil }

    /// Does something with a map of policies or peers; the others count as written.
    private func onMap(_ table: DatapathTable, _ count: Int, _ body: (borrowing BPFMap) -> BatchResult) -> BatchResult {
        switch table {
        case .peerClasses: body(datapath.maps.peerClasses)
        case .peerPrefixes: body(datapath.maps.peerPrefixes)
        case .policyEpoch: body(datapath.maps.policyEpoch)
        case .policyPages: body(datapath.maps.policyPages)
        case .policyPeers: body(datapath.maps.policyPeers)
        case .policySinglePorts: body(datapath.maps.policySinglePorts)
        case .policyPorts: body(datapath.maps.policyPorts)
        case .info, .interfaces, .endpoints, .endpointAddresses, .services, .slots, .backends, .names, .dnsResolvers,
            .sourceRanges, .uplinks, .nonMasquerade, .nodeRanges:
            BatchResult(done: count)
        }
    }

    private static func error(_ error: BPFError) -> MapError {
        MapError(code: error.errno.rawValue, description: error.description)
    }
}
