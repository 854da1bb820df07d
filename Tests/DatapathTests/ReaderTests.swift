import Addressing
import BPF
@testable import Datapath
import DatapathABI
import LinuxKernel
import LoadBalancing
import NetworkPolicy
import Testing

/// Why a call failed; nil when it did not.
private func reason<Value: ~Copyable>(_ body: () throws(DatapathReadError) -> Value) -> DatapathReadError.Reason? {
    do throws(DatapathReadError) { _ = try body() } catch { return error.reason }
    return nil
}

@Suite struct ReaderTests {
    @Test("Where nothing was set up, the error says so")
    func noMaps() throws {
        let maps = try ReaderMaps(without: Set(PinnedMap.allCases))
        #expect(reason { () throws(DatapathReadError) in try DatapathReader(bpffs: maps.bpffs) } == .noMaps)
        #expect(reason { () throws(DatapathReadError) in try DatapathReader(bpffs: "/nonexistent") } == .noMaps)
        #expect(DatapathReadError(.noMaps, "/x").description == "no Apus maps under /x")
    }

    @Test("Maps of another version are not read")
    func otherVersion() throws {
        let maps = try ReaderMaps(version: 99)
        let wanted = UInt32(APUS_ABI_VERSION)
        #expect(
            reason { () throws(DatapathReadError) in try DatapathReader(bpffs: maps.bpffs) }
                == .otherVersion(found: 99, wanted: wanted))
    }

    @Test("The kernel's refusals are told apart")
    func permission() {
        let refused = BPFError(operation: "open", errno: .init(rawValue: 1))
        #expect(DatapathReadError(refused, "names").reason == .noPermission)
        #expect(DatapathReadError(refused, "names").description == "no permission to read names")
        let other = BPFError(operation: "open", errno: .init(rawValue: 22))
        #expect(DatapathReadError(other, "names").reason == .failed(errno: 22))
    }

    @Test("A map that is missing fails only what needs it")
    func missingMap() throws {
        let maps = try ReaderMaps(without: [.drops])
        let reader = try DatapathReader(bpffs: maps.bpffs)
        #expect(reason { () throws(DatapathReadError) in try reader.drops() } == .noSuchMap)
        #expect(reason { () throws(DatapathReadError) in try reader.dump(map: "drops") } == .noSuchMap)
        #expect(reason { () throws(DatapathReadError) in try reader.dump(map: "../x") } == .noSuchMap)
        #expect(
            reason { () throws(DatapathReadError) in try reader.dump(map: "socket_translations") } == .notListable)
        #expect(try reader.maps().map(\.name).contains("drops") == false)
        #expect(try reader.eventCounters() == EventCounters(submitted: 0, lost: 0))
    }

    @Test("The maps say when they were made and for which node")
    func info() throws {
        let maps = try ReaderMaps()
        let info = try DatapathReader(bpffs: maps.bpffs).info()
        #expect(
            info
                == DatapathInfo(
                    abiVersion: UInt32(APUS_ABI_VERSION), node: "worker-1", createdAt: 1_700_000_000_000_000_000))
    }

    @Test("Endpoints have their names, addresses and policies; free slots are left out")
    func endpoints() throws {
        let world = try ReaderWorld()
        let endpoints = try world.reader().endpoints()
        #expect(
            endpoints == [
                EndpointReading(
                    slot: 3, name: EndpointName(namespace: "shop", name: "cart-1", uid: "uid-1"),
                    addresses: [address("10.1.0.1"), address("fd00::1")], interface: 7,
                    mac: MACAddress(bits: 0x0a00_0000_0001), hostMAC: MACAddress(bits: 0x0a00_0000_0002),
                    identity: 17, generation: 2, ingress: PolicyID(rawValue: 0xc0ffee), canRedirect: true),
                EndpointReading(
                    slot: 5, addresses: [address("10.1.0.5")], interface: 9, hostMAC: MACAddress(bits: 0), identity: 18,
                    generation: 1, egress: PolicyID(rawValue: 0xc0ffee), canRedirect: false),
            ])
    }

    @Test("Services lead to their backends; what is not there is left out")
    func services() throws {
        let world = try ReaderWorld()
        let name = ServicePortName(namespace: "shop", name: "cart", portName: "http")
        let services = try world.reader().services()
        #expect(
            services == [
                ServiceReading(
                    frontend: SocketAddress(address("10.96.0.10"), 80), ipProtocol: .tcp, name: name,
                    backends: [
                        SocketAddress(address("10.1.0.2"), 8080), SocketAddress(address("10.1.0.3"), 8080),
                        SocketAddress(address("10.1.0.2"), 8080),
                    ], affinitySeconds: 600),
                ServiceReading(frontend: SocketAddress(address("10.96.0.11"), 80), ipProtocol: .tcp, backends: []),
                ServiceReading(frontend: SocketAddress(address("10.96.0.12"), 80), ipProtocol: .tcp, backends: []),
            ])
        #expect("\(name)" == "shop/cart:http")
    }

    @Test("Policies have their rules in order, with tier, action and name, and the endpoints that they apply to")
    func policies() throws {
        let world = try ReaderWorld()
        let policies = try world.reader().policies()
        let policy = try #require(policies.first)
        #expect(policies.count == 1)
        #expect(policy.id == PolicyID(rawValue: 0xc0ffee))
        #expect(policy.isolates)
        #expect(policy.isolationText == "NetworkPolicy/shop/web/ingress/isolation")
        #expect(
            policy.rules == [
                PolicyRuleReading(index: 0, tier: .admin, action: .deny),
                PolicyRuleReading(index: 1, tier: .admin, action: .pass),
                PolicyRuleReading(
                    index: 2, text: "NetworkPolicy/shop/web/ingress/0", tier: .networkPolicy, action: .allow),
                PolicyRuleReading(index: 256, tier: .baseline, action: .allow),
            ])
        #expect(policy.rules.map(\.tierText) == ["admin", "admin", "network-policy", "baseline"])
        #expect(
            policy.uses == [
                PolicyUse(
                    slot: 3, name: EndpointName(namespace: "shop", name: "cart-1", uid: "uid-1"), direction: .ingress),
                PolicyUse(slot: 5, direction: .egress),
            ])
    }

    @Test("Rules, endpoints and Services are found by what events carry")
    func names() throws {
        let world = try ReaderWorld()
        let reader = try world.reader()
        let policy = PolicyID(rawValue: 0xc0ffee)
        #expect(reader.ruleText(policy: policy, rule: .rule(2)) == "NetworkPolicy/shop/web/ingress/0")
        #expect(reader.ruleText(policy: policy, rule: .rule(9)) == nil)
        #expect(
            reader.ruleText(PolicyDecision(policy: policy, rule: .isolation))
                == "NetworkPolicy/shop/web/ingress/isolation")
        #expect(reader.ruleText(policy: policy, rule: .noRule) == nil)
        #expect(reader.endpointName(slot: 3, identity: 17)?.description == "shop/cart-1")
        #expect(reader.endpointName(slot: 3, identity: 16) == nil)
        #expect(reader.endpointName(slot: .max, identity: 0) == nil)
        #expect(reader.endpointName(EndpointReference(slot: 3, identity: 17))?.uid == "uid-1")
        let frontend = SocketAddress(address("10.96.0.10"), 80)
        #expect(reader.serviceName(of: frontend, .tcp)?.name == "cart")
        #expect(reader.serviceName(of: frontend, .udp) == nil)
    }

    @Test("Connections of both maps are listed, the answered ones first, up to the limit")
    func connections() throws {
        let world = try ReaderWorld()
        let reader = try world.reader()
        for port in 0..<5 { try world.maps.write(.halfOpen, Raw.connectionKey(UInt16(port)), world.connection) }
        try world.maps.write(.connections, Raw.connectionKey(99), world.connection)
        try world.maps.write(.connections, Raw.connectionKey(98), Raw.connection(opened: 1, seen: 1) { $0.opener = 9 })
        #expect(try reader.connections().map(\.state) == [.established] + Array(repeating: .halfOpen, count: 5))
        #expect(try reader.connections(limit: 2).map(\.state) == [.established, .halfOpen])
        #expect(try reader.connections(limit: 0).isEmpty)
    }

    @Test("Drops and event counters are summed over all CPUs")
    func counters() throws {
        let maps = try ReaderMaps()
        let reader = try DatapathReader(bpffs: maps.bpffs)
        let cpus = PossibleCPUs.count
        let index = UInt32(DropReason.noBackend.rawValue) * 2 + 1
        let counts = (0..<cpus).flatMap { Bytes(of: apus_drop_counter(packets: UInt64($0) + 1, bytes: 100)) }
        try maps.write(.drops, bytes: Bytes(of: index), counts)
        try maps.write(.eventCounters, bytes: Bytes(of: UInt32(1)), (0..<cpus).flatMap { _ in Bytes(of: UInt64(5)) })
        let drops = try reader.drops()
        #expect(drops.count == DropReason.allCases.count * 2)
        let total = TrafficCount(packets: UInt64(cpus * (cpus + 1) / 2), bytes: UInt64(100 * cpus))
        #expect(
            drops.filter { $0.dropped != TrafficCount() }
                == [DropCount(reason: .noBackend, direction: .ingress, dropped: total)])
        #expect(try reader.eventCounters() == EventCounters(submitted: 0, lost: UInt64(5 * cpus)))
        #expect(
            try reader.dump(map: "drops")
                == [MapRow(key: "no_backend ingress", value: "packets \(total.packets) bytes \(total.bytes)")])
        #expect(try reader.dump(map: "event_counters").map(\.key) == ["submitted", "lost", "audited"])
    }

    @Test("The last events are read from the ring without consuming them, bad records left out")
    func history() throws {
        let maps = try ReaderMaps()
        let reader = try DatapathReader(bpffs: maps.bpffs)
        #expect(try reader.history(last: 10).isEmpty)
        try maps.submit((0..<10).map { number in Raw.event { $0.time_ns = number } })
        try maps.submit([Raw.event { $0.kind = 77 }])
        try maps.submit((10..<13).map { number in Raw.event { $0.time_ns = number } })
        #expect(try reader.history(last: 2).map(\.time) == [11, 12])
        #expect(try reader.history(last: 100).map(\.time) == Array(0..<13))
        #expect(try reader.dump(map: "events").count == 13)
        #expect(try reader.history(last: 0).isEmpty)
        #expect(try reader.history(last: -1).isEmpty)
    }
}
