import BPF
@testable import Datapath
import DatapathABI
import Testing

@Suite struct ConnectionsCostTests {
    @Test("A scan of a full map of connections is done in moments")
    func fullMap() throws {
        let capacity = 262_144
        let maps = try ReaderMaps(without: [.connections])
        let shape = ReaderMaps.shape(.lruHash, apus_connection_key.self, apus_connection.self, capacity)
        let map = try BPFMap.create(shape, name: "connections")
        try map.pin(at: "\(maps.bpffs)/maps/connections")
        let keys = (0..<capacity).map { number in
            var key = Raw.connectionKey()
            key.low.low = UInt64(number).bigEndian
            return key
        }
        let now: UInt64 = 1_000_000_000_000
        try map.update(keys: keys, values: Array(repeating: Raw.connection(opened: 1, seen: now), count: capacity))
        var scanner = try ConnectionScanner(bpffs: maps.bpffs)
        try scanner.scan(now: now) { _ in }
        var summary = ScanSummary()
        let time = try ContinuousClock().measure { summary = try scanner.scan(now: now + 1) { _ in } }
        // The LRU may have evicted some: each CPU keeps a few entries free for itself.
        #expect(summary.established > capacity * 9 / 10)
        // 0.15 s on two cores without optimization; the bound only finds what is wrong by an order of magnitude.
        #expect(time < .seconds(3))
    }
}
