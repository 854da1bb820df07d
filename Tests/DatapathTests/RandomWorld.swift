import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import NetworkPolicy
import PolicyGenerators

/// Objects that change at random, and what they should lead to.
struct RandomWorld {
    var random: RandomSource
    var policies = PolicyWorld()
    var services: [Int: [Int]] = [:]
    /// What serves and gets nothing new.
    var kept: [Int: [Int]] = [:]
    var pods: [Int: EndpointSpec] = [:]
    private var podCount = 0
    /// Every program that a frontend ever had.
    private(set) var history: [Frontend: Set<[Backend]>] = [:]
    /// Which peers every policy ever admitted.
    private(set) var peers: [UInt32: [UInt32: RuleBits]] = [:]

    static let colors = ["red", "green", "blue"]

    init(seed: UInt64) { random = RandomSource(seed: seed) }

    /// One to three changes of anything.
    mutating func change() -> [DatapathEdit] {
        let edits = (0..<Int.random(in: 1...3, using: &random)).flatMap { _ in one() }
        for edit in edits { remember(edit) }
        return edits
    }

    private mutating func one() -> [DatapathEdit] {
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2: changeService()
        case 3, 4, 5: changePod()
        default: changePolicy()
        }
    }

    private mutating func changeService() -> [DatapathEdit] {
        let number = Int.random(in: 0..<6, using: &random)
        if services[number] != nil, Int.random(in: 0..<4, using: &random) == 0 {
            services[number] = nil
            kept[number] = nil
            return [.service(.remove(Self.frontend(number)))]
        }
        func some(_ limit: Int) -> [Int] {
            (0..<Int.random(in: 0...limit, using: &random)).map { _ in Int.random(in: 0..<12, using: &random) }
        }
        services[number] = some(8)
        kept[number] = Self.isOfDatagrams(number) ? some(4).filter { !services[number, default: []].contains($0) } : []
        return [edit(number)]
    }

    static func isOfDatagrams(_ number: Int) -> Bool { number % 2 == 0 }

    private static func frontend(_ number: Int) -> Frontend {
        isOfDatagrams(number) ? datagramFrontend(number) : DatapathTests.frontend(number)
    }

    private func edit(_ number: Int) -> DatapathEdit {
        let (backends, kept) = (services[number] ?? [], kept[number] ?? [])
        return Self.isOfDatagrams(number) ? datagrams(number, backends, keeping: kept) : service(number, backends)
    }

    private mutating func changePod() -> [DatapathEdit] {
        let number = Int.random(in: 0..<8, using: &random)
        let old = pods.removeValue(forKey: number)
        if old != nil, Bool.random(using: &random) {
            return policies.apply([.podRemoved(pod(number))]) + [.endpoint(.remove(pod(number)))]
        }
        let color = Self.colors.randomElement(using: &random) ?? "red"
        // A pod that comes again is another pod.
        podCount += 1
        let spec = endpoint(number, uid: old?.uid ?? String(podCount))
        pods[number] = spec
        return policies.apply([PolicyWorld.pod(number, labels: ["color": color])]) + [.endpoint(.upsert(spec))]
    }

    private mutating func changePolicy() -> [DatapathEdit] {
        let number = Int.random(in: 0..<4, using: &random)
        if Int.random(in: 0..<3, using: &random) == 0 {
            return policies.apply([.policyRemoved(namespace: "shop", name: "n\(number)")])
        }
        let target = Self.colors.randomElement(using: &random) ?? "red"
        let source = Self.colors.randomElement(using: &random) ?? "red"
        let port = UInt16.random(in: 80...82, using: &random)
        return policies.apply([PolicyWorld.policy(number, to: target, from: source, port: port)])
    }

    private mutating func remember(_ edit: DatapathEdit) {
        switch edit {
        case .service(.set(let frontend, let program)): history[frontend, default: []].insert(program.backends)
        case .policy(.setPeers(let policy, let peerClass, let bits)):
            peers[policy.rawValue, default: [:]][peerClass.rawValue] = bits
        default: break
        }
    }

    /// All edits that lead to the present state from nothing, in a random order of kinds.
    mutating func everything() -> [DatapathEdit] {
        let all =
            services.keys.sorted().map(edit).shuffled(using: &random)
            + pods.map { DatapathEdit.endpoint(.upsert($0.value)) }.shuffled(using: &random)
        return policies.compiler.everything().map(DatapathEdit.policy) + all
    }

    /// What a packet would find wrong in the maps: pointers to what is not there.
    func faults(in kernel: FakeKernel) -> [String] {
        serviceFaults(kernel) + wayFaults(kernel) + policyFaults(kernel)
    }

    private func serviceFaults(_ kernel: FakeKernel) -> [String] {
        kernel.entries(of: .services).compactMap { entry in
            guard let frontend = Frontend(key: entry.key), let value = entry.value.load(apus_service.self) else {
                return "unreadable service"
            }
            let backends = (0..<Int(value.slot_count)).map { offset -> Backend? in
                let index = kernel.load(UInt32.self, .slots, Int(value.first_slot) + offset)
                let found = index.flatMap { kernel.load(apus_backend.self, .backends, Int($0)) }
                return found.flatMap { $0.in_use == 0 || $0.isGone ? nil : Backend(address: $0.socketAddress) }
            }
            let whole = backends.compactMap { $0 }
            let isKnown = whole.count == backends.count && history[frontend]?.contains(whole) ?? false
            return isKnown ? nil : "\(frontend) leads to \(backends)"
        }
    }

    private func wayFaults(_ kernel: FakeKernel) -> [String] {
        let interfaces = kernel.entries(of: .interfaces).filter { entry in
            slot(entry, kernel)?.ifindex != entry.key.load(UInt32.self)
        }
        let addresses = kernel.entries(of: .endpointAddresses).filter { entry in
            !(slot(entry, kernel)?.addressList.map(\.key).contains(entry.key) ?? false)
        }
        return interfaces.map { "interface \($0.key) leads nowhere" }
            + addresses.map { "address \($0.key) leads nowhere" }
    }

    private func slot(_ entry: TableEntry, _ kernel: FakeKernel) -> apus_endpoint? {
        entry.value.load(UInt32.self).flatMap { kernel.endpoint(Int($0)) }
    }

    private func isWanted(_ interface: TableEntry, _ kernel: FakeKernel) -> Bool {
        guard let index = interface.key.load(UInt32.self), let spec = pods[Int(index) - 100],
            let slot = interface.value.load(UInt32.self).map(Int.init)
        else { return false }
        let name = kernel.hashes[.names]?[NameKey.endpoint(slot).key].map(NameKey.text)
        return name == EndpointIdentityName(pod: spec.pod, uid: spec.uid).text
    }

    private func policyFaults(_ kernel: FakeKernel) -> [String] {
        // The policy of a pod that goes away is not kept up with new classes any more.
        let endpoints = kernel.entries(of: .interfaces).filter { isWanted($0, kernel) }
            .compactMap { slot($0, kernel) }
        let policies = Set(endpoints.flatMap { [$0.ingress_policy, $0.egress_policy] }).subtracting([0])
        let pointers = Array(kernel.peers(.peerClasses).values) + kernel.peers(.peerPrefixes).values
        let classes = Set(pointers.compactMap { $0.load(UInt32.self) })
        return policies.flatMap { policy in
            let page = Bytes(of: apus_policy_page_key(policy: policy, page: 0))
            let missing = classes.filter { peerClass in
                (peers[policy]?[peerClass]?.entryPages ?? []).contains { page in
                    let key = apus_policy_peers_key(policy: policy, class_id: peerClass, page: UInt32(page))
                    return kernel.hashes[.policyPeers]?[Bytes(of: key)] == nil
                }
            }
            return (kernel.hashes[.policyPages]?[page] == nil ? ["policy \(policy) has no page"] : [])
                + missing.map { "policy \(policy) has nothing for class \($0)" }
        }
    }
}

extension ResolvedMaps {
    /// What differs, for the message of a failed test.
    func differences(from other: ResolvedMaps) -> [String] {
        var found: [String] = []
        for key in Set(services.keys).union(other.services.keys) where services[key] != other.services[key] {
            found.append("\(key): \(services[key] ?? ["-"]) or \(other.services[key] ?? ["-"])")
        }
        for key in Set(endpoints.keys).union(other.endpoints.keys) where endpoints[key] != other.endpoints[key] {
            found.append("\(key): \(endpoints[key] ?? "-") or \(other.endpoints[key] ?? "-")")
        }
        for (table, mine) in content {
            let others = other.content[table] ?? [:]
            for key in Set(mine.keys).union(others.keys) where mine[key] != others[key] {
                let values = [mine[key], others[key]].map { $0.map(table.text(ofValue:)) ?? "-" }
                found.append("\(table) \(table.text(ofKey: key)): \(values)")
            }
        }
        return found
    }
}

/// What the maps mean, without the numbers that were given out on the way.
struct ResolvedMaps: Equatable {
    var services: [String: [String]] = [:]
    var endpoints: [String: String] = [:]
    var content: [DatapathTable: [Bytes: Bytes]] = [:]

    init(_ kernel: FakeKernel) {
        for entry in kernel.entries(of: .services) {
            guard let value = entry.value.load(apus_service.self) else { continue }
            let name = kernel.hashes[.names]?[NameKey.service(value.service).key].map(NameKey.text) ?? "?"
            let backends = (0..<Int(value.slot_count)).map { offset in
                let index = kernel.load(UInt32.self, .slots, Int(value.first_slot) + offset) ?? 0
                let bytes = kernel.load(apus_backend.self, .backends, Int(index)) ?? apus_backend()
                return DatapathTable.backends.text(ofValue: Bytes(of: bytes))
            }
            services["\(DatapathTable.services.text(ofKey: entry.key)) \(name)"] = backends
        }
        for entry in kernel.entries(of: .endpointAddresses) + kernel.entries(of: .interfaces) {
            let slot = Int(entry.value.load(UInt32.self) ?? 0)
            var value = kernel.endpoint(slot) ?? apus_endpoint()
            value.identity = 0
            value.generation = 0
            value.coming_policy = 0
            let name = kernel.hashes[.names]?[NameKey.endpoint(slot).key].map(NameKey.text) ?? "?"
            endpoints["\(entry.key) \(name)"] = DatapathTable.endpoints.text(ofValue: Bytes(of: value))
        }
        let tables: [DatapathTable] = [
            .peerClasses, .peerPrefixes, .policyPages, .policyPeers, .policySinglePorts, .policyPorts,
        ]
        for table in tables {
            content[table] = (kernel.hashes[table] ?? [:])
        }
        // Without how it came about.
        for table in [DatapathTable.peerClasses, .peerPrefixes] {
            content[table] = kernel.peers(table).mapValues { PeerRecords.even($0) }
        }
        content[.names] = (kernel.hashes[.names] ?? [:]).filter { key, _ in
            if case .rule = NameKey(key: key) { true } else { false }
        }
    }
}

extension RuleBits {
    /// The pages that have entries: page 0 stands for the first page with bits.
    fileprivate var entryPages: [Int] {
        let filled = pages.indices.filter { !pages[$0].isEmpty }
        return filled.isEmpty ? [] : [0] + filled.dropFirst()
    }
}
