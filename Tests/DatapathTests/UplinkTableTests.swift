import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import Testing

@Suite("Uplinks and exceptions from masquerading in the maps")
struct UplinkTableTests {
    private let kernel = FakeKernel()
    private var tables = DatapathTables(node: "node-1", startedAt: 1)

    private static let addresses: [UInt32: UplinkAddresses] = [
        2: UplinkAddresses(v4: IPAddress("192.0.2.1")), 3: UplinkAddresses(v4: IPAddress("10.244.1.0")),
    ]

    private mutating func program() {
        var writer = kernel
        #expect(tables.program(into: &writer, now: 1).problems.isEmpty)
    }

    /// The flags of each uplink in the map.
    private var flags: [UInt32: UInt32] {
        Dictionary(
            uniqueKeysWithValues: (kernel.hashes[.uplinks] ?? [:]).compactMap { key, value in
                guard let index = key.load(UInt32.self), let uplink = value.load(apus_uplink.self) else { return nil }
                return (index, uplink.flags)
            })
    }

    private static let serves = UInt32(APUS_UPLINK_SERVES.rawValue)
    private static let masquerades = UInt32(APUS_UPLINK_MASQUERADES.rawValue)

    private static func clusterIP(isForOutside: Bool, isServedElsewhere: Bool = false) -> DatapathEdit {
        let program = ServiceProgram(
            service: ServiceName(namespace: "shop", name: "s1"), portName: "http", backends: [],
            isForOutside: isForOutside, isServedElsewhere: isServedElsewhere)
        return .service(.set(frontend(1), program))
    }

    private static func exposed() -> DatapathEdit {
        let program = ServiceProgram(
            service: ServiceName(namespace: "shop", name: "s1"), portName: "http", kind: .nodePort,
            backends: [backend(1)], outside: [backend(1)])
        return .service(.set(frontend(1), program))
    }

    @Test("They are there while something needs them, with what it is")
    mutating func needs() {
        var news = [tables.setUplinks(Self.addresses)]
        program()
        #expect(flags.isEmpty)
        for _ in 0..<2 { news.append(tables.setUplinks(Self.addresses, masquerading: [2])) }
        #expect(news == [true, true, false])
        program()
        #expect(flags == [2: Self.masquerades])
        tables.apply([Self.exposed()])
        program()
        #expect(flags == [2: Self.masquerades | Self.serves, 3: Self.serves])
        _ = tables.setUplinks(Self.addresses)
        program()
        #expect(flags == [2: Self.serves, 3: Self.serves])
    }

    @Test("They serve where a ClusterIP is for clients outside, whose entry says so, and who is dropped there")
    mutating func clusterIPs() throws {
        _ = tables.setUplinks(Self.addresses)
        var entries: [UInt8] = []
        for edit in [
            Self.clusterIP(isForOutside: false), Self.clusterIP(isForOutside: true),
            Self.clusterIP(isForOutside: true, isServedElsewhere: true),
        ] {
            tables.apply([edit])
            program()
            #expect(flags.isEmpty == entries.isEmpty)
            let entry = kernel.hashes[.services]?[frontend(1).key]?.load(apus_service.self)
            entries.append(try #require(entry).flags)
        }
        let forOutside = UInt8(APUS_SERVICE_FOR_OUTSIDE.rawValue)
        #expect(entries == [0, forOutside, forOutside | UInt8(APUS_SERVICE_ELSEWHERE.rawValue)])
        #expect(flags == [2: Self.serves, 3: Self.serves])
    }

    @Test("Without frontends they go when nothing is masqueraded any more")
    mutating func masqueradingEnds() {
        _ = tables.setUplinks(Self.addresses, masquerading: [2, 3])
        program()
        #expect(flags == [2: Self.masquerades, 3: Self.masquerades])
        _ = tables.setUplinks(Self.addresses)
        program()
        #expect(flags.isEmpty)
    }

    @Test("Exceptions are written before an uplink masquerades, and follow what is wanted")
    mutating func exceptions() {
        _ = tables.setUplinks(Self.addresses, masquerading: [2])
        tables.setNonMasquerade([CIDR("10.0.0.0/8")!, CIDR("fd00::/8")!])
        let planned = tables.plan(now: 1).map(\.write)
        let exception = planned.firstIndex { $0.table == .nonMasquerade }
        let uplink = planned.firstIndex { $0.table == .uplinks }
        #expect(exception != nil && uplink != nil && exception! < uplink!)
        program()
        tables.setNonMasquerade([CIDR("10.0.0.0/8")!])
        program()
        let held = Set((kernel.hashes[.nonMasquerade] ?? [:]).keys.compactMap { CIDR(key: $0) })
        #expect(held == [CIDR("10.0.0.0/8")!])
    }
}
