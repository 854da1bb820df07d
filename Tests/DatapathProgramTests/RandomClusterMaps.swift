internal import Addressing
internal import BPF
internal import DatapathABI
internal import DomainNames
internal import NetworkPolicy
internal import PolicyGenerators

@testable internal import Datapath

/// A way in which a random cluster comes into the kernel's maps.
protocol RandomClusterMaps {
    /// The object's item that a rule comes from.
    func origin(_ policy: UInt32, _ rule: UInt32) -> RuleOrigin?
    /// How many rules a policy has.
    func ruleCount(_ policy: UInt32) -> Int
    /// Puts edits in force, and answers where the pods of this node are.
    mutating func apply(_ edits: [PolicyEdit], _ wanted: [PolicyPod]) throws -> [PodKey: Pod]
}

/// As the tests write them down: an encoder of its own, and a new generation for every pod with every change.
struct EncodedMaps: RandomClusterMaps {
    private let datapath: DatapathFixture
    private var tables: CompiledTables
    private var pods: [PodKey: Pod] = [:]
    private var freeSlots: [UInt32] = (1..<100).reversed()
    private var identity: UInt32 = 0
    private var generation: UInt32 = 1

    init(_ datapath: DatapathFixture) {
        self.datapath = datapath
        tables = CompiledTables(datapath)
    }

    func origin(_ policy: UInt32, _ rule: UInt32) -> RuleOrigin? { tables.origin(policy, rule) }
    func ruleCount(_ policy: UInt32) -> Int { tables.ruleCount(policy) }

    mutating func apply(_ edits: [PolicyEdit], _ wanted: [PolicyPod]) throws -> [PodKey: Pod] {
        for edit in edits { try tables.apply(edit) }
        generation += 1
        let addresses = Dictionary(uniqueKeysWithValues: wanted.map { ($0.key, $0.addresses) })
        for (key, pod) in pods where addresses[key] != pod.addresses { try remove(key, pod) }
        for pod in wanted where pods[pod.key] == nil { try add(pod.key, pod.addresses) }
        for (key, pod) in pods {
            try datapath.setEndpoint(of: pod) {
                $0.ingress_policy = tables.endpoints[key]?.ingress.rawValue ?? 0
                $0.egress_policy = tables.endpoints[key]?.egress.rawValue ?? 0
            }
            try datapath.setEndpoint(of: pod) { $0.generation = generation }
        }
        return pods
    }

    private mutating func add(_ key: PodKey, _ addresses: [IPAddress]) throws {
        guard let slot = freeSlots.popLast() else { return }
        let pod = Pod(slot: slot, addresses: addresses)
        identity += 1
        try datapath.setEndpoint(of: pod) { $0.identity = identity }
        for address in addresses { try datapath.maps.endpointAddresses.update(apus_address(address), slot) }
        pods[key] = pod
    }

    private mutating func remove(_ key: PodKey, _ pod: Pod) throws {
        for address in pod.addresses { try datapath.maps.endpointAddresses.delete(apus_address(address)) }
        try datapath.maps.endpoints.update(pod.slot, apus_endpoint())
        freeSlots.append(pod.slot)
        pods[key] = nil
    }
}

/// As the agent does: its tables decide what is written, in which order, and whose live connections are judged again.
struct ShippedMaps: RandomClusterMaps {
    private var tables = DatapathTables(node: ClusterGenerator.node, startedAt: 1)
    private var writer: ShippedMapWriter
    private var policies: [PolicyID: CompiledPolicy] = [:]
    private var specs: [PodKey: EndpointSpec] = [:]
    private var interface: UInt32 = 100
    private var now: UInt64 = 0

    init(_ datapath: DatapathFixture) { writer = ShippedMapWriter(datapath) }

    /// Called after every single write.
    var afterWrite: (() -> Void)? {
        get { writer.afterWrite }
        set { writer.afterWrite = newValue }
    }

    func origin(_ policy: UInt32, _ rule: UInt32) -> RuleOrigin? {
        guard let rules = policies[PolicyID(rawValue: policy)]?.rules, rule < rules.count else { return nil }
        return rules[Int(rule)].origin
    }

    func ruleCount(_ policy: UInt32) -> Int { policies[PolicyID(rawValue: policy)]?.rules.count ?? 0 }

    mutating func apply(_ edits: [PolicyEdit], _ wanted: [PolicyPod]) throws -> [PodKey: Pod] {
        for case .setPolicy(let policy) in edits { policies[policy.id] = policy }
        tables.apply(edits.map(DatapathEdit.policy) + endpointEdits(wanted).map(DatapathEdit.endpoint))
        // What a change leaves behind goes with a later one.
        now += DatapathTables.defaultGrace / 5
        let report = tables.program(into: &writer, now: now)
        if let problem = report.problems.first { throw problem }
        return specs.compactMapValues { spec in
            spec.addresses.first.flatMap { writer.slots[$0] }.map { Pod(slot: $0, addresses: spec.addresses) }
        }
    }

    /// Has a pod's policy hold an address under names, where it has any itself. Returns whether it does.
    func learn(_ address: IPAddress, _ names: Set<String>, for pod: PodKey) throws -> Bool {
        guard let policy = tables.policies(of: pod)?.egress, tables.hasNames(policy.rawValue) else { return false }
        try writer.learn(address, names, for: policy.rawValue)
        return true
    }

    private mutating func endpointEdits(_ wanted: [PolicyPod]) -> [EndpointEdit] {
        let addresses = Dictionary(uniqueKeysWithValues: wanted.map { ($0.key, $0.addresses) })
        var edits: [EndpointEdit] = []
        for (key, spec) in specs where addresses[key] != spec.addresses {
            edits.append(.remove(key))
            specs[key] = nil
        }
        for pod in wanted where specs[pod.key] == nil {
            interface += 1
            let spec = EndpointSpec(
                pod: pod.key, uid: "\(interface)", addresses: pod.addresses, interface: interface, mac: nil,
                hostMAC: MACAddress(bits: 0xee), canRedirect: true)
            specs[pod.key] = spec
            edits.append(.upsert(spec))
        }
        return edits
    }
}

/// Writes what the agent's tables say, endpoints and their addresses included. All of a fixture's packets come from one
/// interface.
private struct ShippedMapWriter: MapWriter {
    private let datapath: DatapathFixture
    private var maps: FixtureWriter
    /// The slots that addresses lead to.
    private(set) var slots: [IPAddress: UInt32] = [:]
    var afterWrite: (() -> Void)?
    /// What gives names their sets of patterns; nil: no policy has names.
    private var program: DomainProgram?

    init(_ datapath: DatapathFixture) {
        self.datapath = datapath
        maps = FixtureWriter(datapath)
    }

    mutating func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult {
        guard table == .endpointAddresses else {
            if afterWrite == nil { return maps.update(table, entries) }
            return each(entries) { writer, entry in
                if let error = writer.maps.update(table, [entry]).error { throw error }
            }
        }
        return each(entries) { writer, entry in
            guard let address = IPAddress(bytes: entry.key) else { return }
            let slot = entry.value.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            try writer.datapath.maps.endpointAddresses.update(apus_address(address), slot)
            writer.slots[address] = slot
        }
    }

    mutating func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult {
        guard table == .endpointAddresses else {
            return each(keys) { writer, key in if let error = writer.maps.delete(table, [key]).error { throw error } }
        }
        return each(keys) { writer, key in
            guard let address = IPAddress(bytes: key) else { return }
            try writer.datapath.maps.endpointAddresses.delete(apus_address(address))
            writer.slots[address] = nil
        }
    }

    mutating func store(_ table: DatapathTable, first: Int, _ elements: Bytes) -> MapError? {
        guard table == .endpoints else {
            return each([first]) { writer, first in
                if let error = writer.maps.store(table, first: first, elements) { throw error }
            }.error
        }
        let size = table.valueSize
        let result = each(Array(0..<elements.count / size)) { writer, offset in
            var endpoint = elements.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: offset * size, as: apus_endpoint.self)
            }
            if endpoint.ifindex != 0 { endpoint.ifindex = 1 }
            try writer.datapath.maps.endpoints.update(UInt32(first + offset), endpoint)
        }
        return result.error
    }

    mutating func beginWait() -> UInt64 { maps.beginWait() }

    mutating func endWait(_ number: UInt64) -> MapError? { maps.endWait(number) }

    /// Puts it in force, and gives the names that are held their sets in it.
    mutating func install(_ program: DomainProgram?) -> DomainInstallation {
        self.program = program
        let failure = each([program]) { writer, program in
            guard let program else {
                _ = try writer.datapath.maps.domainAutomaton.delete(UInt32(0))
                return
            }
            try writer.datapath.maps.domainAutomaton.install(program.automaton)
            for name in ClusterGenerator.domainNames { try writer.hold(name) }
        }.error
        return failure.map { .refused($0) } ?? .done
    }

    mutating func copyLearned(from old: UInt32, to new: UInt32) -> MapError? {
        each([old]) { writer, old in
            let maps = writer.datapath.maps
            for var key in try maps.learnedAddresses.keys(as: apus_learned_key.self) where key.policy == old {
                guard let value = try maps.learnedAddresses.lookup(key, as: apus_learned_address.self) else { continue }
                key.policy = new
                try maps.learnedAddresses.update(key, value)
            }
        }.error
    }

    /// Has a policy hold an address under names.
    func learn(_ address: IPAddress, _ names: Set<String>, for policy: UInt32) throws {
        var value = apus_learned_address()
        value.learned = names.sorted().map { apus_learned_use(name: Self.key(of: $0), end_ns: .max) }
        for name in names { try hold(name) }
        try datapath.maps.learnedAddresses.update(
            apus_learned_key(address: apus_address(address), policy: policy, part: 0), value)
    }

    /// Gives a name its set, 0 where no pattern in force matches it.
    private func hold(_ name: String) throws {
        var record = apus_learned_name()
        record.set = program?.set(matching: name.utf8) ?? 0
        record.length = UInt32(name.utf8.count)
        withUnsafeMutableBytes(of: &record.text) { $0.copyBytes(from: name.utf8) }
        try datapath.maps.learnedNames.update(Self.key(of: name), record)
    }

    /// What a name is held under: any number that is its own.
    private static func key(of name: String) -> UInt64 {
        UInt64(ClusterGenerator.domainNames.firstIndex(of: name) ?? ClusterGenerator.domainNames.count) + 1
    }

    private mutating func each<Item>(
        _ items: [Item], _ write: (inout ShippedMapWriter, Item) throws -> Void
    ) -> BatchResult {
        for (index, item) in items.enumerated() {
            do { try write(&self, item) } catch {
                return BatchResult(done: index, error: MapError(code: 5, description: "\(error)"))
            }
            afterWrite?()
        }
        return BatchResult(done: items.count)
    }
}

extension Pod {
    /// A pod in a slot, with hardware addresses of its own.
    fileprivate init(slot: UInt32, addresses: [IPAddress]) {
        self.init(
            slot: slot, addresses: addresses, mac: MACAddress(bits: 0x0a58_0000_0000 + UInt64(slot)),
            hostMAC: MACAddress(bits: 0xeeee_0000_0000 + UInt64(slot)))
    }
}
