internal import BPF
internal import DatapathABI
internal import LinuxKernel

/// Reads the pinned maps, with the agent or without it.
///
/// Every handle is read-only, except that of the ring buffer: the kernel maps memory of no other. The data path and the
/// agent may change the maps meanwhile, so what does not fit together is left out.
public struct DatapathReader: ~Copyable, Sendable {
    let directory: String
    let names: BPFMap
    let endpointMap: BPFMap
    let serviceMap: BPFMap

    /// Opens the maps under `<bpffs>/maps`, if they are of this version.
    ///
    /// - Parameter wanted: the ABI version.
    public init(
        bpffs: String, version wanted: UInt32 = MapLayouts.current.version
    ) throws(DatapathReadError) {
        let info = try Self.open(.info, under: bpffs, missing: .noMaps, subject: bpffs)
        let version = try Self.info(in: info).abiVersion
        guard version == wanted else {
            throw DatapathReadError(.otherVersion(found: version, wanted: wanted), bpffs)
        }
        // All or none: the compiler destroys no half-made value.
        let names = try Self.open(.names, under: bpffs)
        let endpointMap = try Self.open(.endpoints, under: bpffs)
        let serviceMap = try Self.open(.services, under: bpffs)
        self.directory = bpffs
        self.names = names
        self.endpointMap = endpointMap
        self.serviceMap = serviceMap
    }

    /// What the maps say about themselves.
    public func info() throws(DatapathReadError) -> DatapathInfo { try Self.info(in: try open(.info)) }

    private static func info(in map: borrowing BPFMap) throws(DatapathReadError) -> DatapathInfo {
        do throws(BPFError) {
            guard let value = try map.value(of: Bytes(of: UInt32(0))), let record = InfoRecord(value) else {
                throw BPFError(operation: "read map", errno: .invalid, detail: PinnedMap.info.rawValue)
            }
            return DatapathInfo(abiVersion: record.abiVersion, node: record.node, createdAt: record.startedAt)
        } catch {
            throw DatapathReadError(error, PinnedMap.info.rawValue)
        }
    }

    /// Records in the ring buffer, oldest first, at most the last `limit`; those that were consumed already too.
    public func history(last limit: Int) throws(DatapathReadError) -> [DatapathEvent] {
        try history(.events, last: limit, recordLength: DatapathEvent.recordLength) { record in
            try? DatapathEvent(decoding: record)
        }
    }

    /// DNS answers in their ring buffer, likewise.
    public func answerHistory(last limit: Int) throws(DatapathReadError) -> [DatapathAnswer] {
        try history(.dnsAnswers, last: limit, recordLength: DatapathAnswer.recordLength) { record in
            try? DatapathAnswer(decoding: record)
        }
    }

    private func history<Record>(
        _ ring: PinnedMap, last limit: Int, recordLength: Int, _ decode: (borrowing RawSpan) -> Record?
    ) throws(DatapathReadError) -> [Record] {
        let map = try Self.open(ring, under: directory, readOnly: false)
        return try reading(ring) { () throws(BPFError) in
            let history = try RingBufferHistory(map)
            var records: [Record] = []
            _ = history.last(limit, recordLength: recordLength) { record in
                if let record = decode(record) { records.append(record) }
            }
            return records
        }
    }

    /// The connections, answered ones first, at most `limit`.
    public func connections(limit: Int = .max) throws(DatapathReadError) -> [ConnectionRecord] {
        var records: [ConnectionRecord] = []
        for (name, isHalfOpen) in [(PinnedMap.connections, false), (.halfOpen, true)] {
            guard records.count < limit else { break }
            let map = try open(name)
            try reading(name) { () throws(BPFError) in
                try map.forEachEntry { key, value in
                    guard records.count < limit,
                        let record = try? ConnectionRecord(key: key, value: value, isHalfOpen: isHalfOpen)
                    else { return }
                    records.append(record)
                }
            }
        }
        return records
    }

    // MARK: Opening

    func open(_ map: PinnedMap) throws(DatapathReadError) -> BPFMap { try Self.open(map, under: directory) }

    static func open(
        _ map: PinnedMap, under directory: String, readOnly: Bool = true,
        missing: DatapathReadError.Reason = .noSuchMap, subject: String? = nil
    ) throws(DatapathReadError) -> BPFMap {
        do {
            return try BPFMap.open(pinned: PinDirectory(root: directory).map(map.rawValue), readOnly: readOnly)
        } catch {
            throw DatapathReadError(error, subject ?? map.rawValue, missing: missing)
        }
    }

    /// Runs map operations with this module's error.
    func reading<Value>(
        _ map: PinnedMap, _ body: () throws(BPFError) -> Value
    ) throws(DatapathReadError) -> Value {
        do { return try body() } catch { throw DatapathReadError(error, map.rawValue) }
    }
}

extension BPFMap {
    /// The bytes of a key's value; nil when there is none.
    func value(of key: Bytes) throws(BPFError) -> Bytes? {
        var value = Bytes(zeros: shape.valueSize)
        var span = value.mutableSpan
        var bytes = span.mutableBytes
        return try lookup(key.span.bytes, into: &bytes) ? value : nil
    }

    /// The value of a key as a trivial type; nil when there is none or its size is another.
    func value<Value: BitwiseCopyable>(of key: Bytes, as type: Value.Type) throws(BPFError) -> Value? {
        try value(of: key)?.load(type)
    }
}
