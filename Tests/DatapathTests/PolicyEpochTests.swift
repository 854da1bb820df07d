import Addressing
@testable import Datapath
import DatapathABI
import NetworkPolicy
import PolicyGenerators
import Testing

/// What packets of one epoch find: the classes of some addresses, and what judges the pods.
private struct Found: Equatable {
    var classes: [UInt32]
    var policies: [EndpointPolicies?]

    init(classes: [UInt32], policies: [EndpointPolicies?]) {
        self.classes = classes
        self.policies = policies
    }

    init(_ kernel: FakeKernel, in epoch: Int) {
        classes = PeerSample.addresses.map { Self.classID(of: $0, kernel, epoch) }
        policies = PeerSample.pods.map { number in
            kernel.load(apus_endpoint.self, .endpoints, number).flatMap { $0.ifindex == 0 ? nil : $0[epoch].policies }
        }
    }

    /// As the programs do it: an address, else the longest prefix, else anyone.
    private static func classID(of address: IPAddress, _ kernel: FakeKernel, _ epoch: Int) -> UInt32 {
        if let peer = kernel.hashes[.peerClasses]?[address.key]?.load(apus_peer.self), !peer[epoch].isAbsent {
            return peer[epoch].class_id
        }
        for length in stride(from: 128, through: 96, by: -1) {
            let key = Bytes(of: UInt32(length)) + address.masked(to: length).bytes
            if let prefix = kernel.hashes[.peerPrefixes]?[key]?.load(apus_prefix_peer.self) { return prefix[epoch] }
        }
        return 0
    }
}

/// Addresses, prefixes around them, and pods, whose classes and policies change at random.
private struct PeerSample {
    static let addresses = (0..<32).map { IPAddress(v4: 0x0a00_0000 + UInt32($0)) }
    static let pods = 1...3

    var classes: [IPAddress: UInt32] = [:]
    var prefixes: [CIDR: UInt32] = [:]
    var policies: [Int: EndpointPolicies] = [:]
    var random: RandomSource

    init(seed: UInt64) { random = RandomSource(seed: seed) }

    /// Some changes, as edits.
    mutating func change() -> [DatapathEdit] {
        (0..<Int.random(in: 1...5, using: &random)).map { _ in .policy(one()) }
    }

    private mutating func one() -> PolicyEdit {
        let isRemoval = Int.random(in: 0..<3, using: &random) == 0
        let classID = UInt32.random(in: 0...4, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0, 1:
            guard let address = Self.addresses.randomElement(using: &random) else { fallthrough }
            if isRemoval, classes.removeValue(forKey: address) != nil { return .removeClass(address) }
            classes[address] = classID
            return .setClass(address, PeerClass(id: ClassID(rawValue: classID)))
        case 2, 3:
            let length = Int.random(in: 26...32, using: &random)
            let start = IPAddress(v4: 0x0a00_0000 + UInt32.random(in: 0..<32, using: &random))
            guard let prefix = CIDR(start.masked(to: 96 + length), length: length) else { fallthrough }
            if isRemoval, prefixes.removeValue(forKey: prefix) != nil { return .removePrefixClass(prefix) }
            prefixes[prefix] = classID
            return .setPrefixClass(prefix, ClassID(rawValue: classID))
        default:
            let number = Int.random(in: Self.pods, using: &random)
            func policy() -> PolicyID { PolicyID(rawValue: UInt32.random(in: 0...3, using: &random)) }
            policies[number] = EndpointPolicies(ingress: policy(), egress: policy())
            return .setEndpoint(pod(number), policies[number] ?? EndpointPolicies())
        }
    }

    /// Everything, as edits.
    var everything: [DatapathEdit] {
        classes.map { .policy(.setClass($0.key, PeerClass(id: ClassID(rawValue: $0.value)))) }
            + prefixes.map { .policy(.setPrefixClass($0.key, ClassID(rawValue: $0.value))) }
            + policies.map { .policy(.setEndpoint(pod($0.key), $0.value)) } + Self.endpoints
    }

    static var endpoints: [DatapathEdit] { pods.map { .endpoint(.upsert(endpoint($0))) } }

    /// What packets are to find.
    var wanted: Found {
        Found(
            classes: Self.addresses.map { address in
                let covering = prefixes.filter { $0.key.contains(address) }
                return classes[address] ?? covering.max { $0.key.length < $1.key.length }?.value ?? 0
            },
            policies: Self.pods.map { policies[$0] ?? EndpointPolicies() })
    }
}

/// Looks at the maps after every write, with the eyes of packets that come then and of those on their way.
private final class EpochWatch {
    /// What packets may find that come now.
    var admitted: [Found] = []
    private(set) var faults: [String] = []
    private var onTheWay: [Int: Found] = [:]
    private var generations: [Int: [UInt32]] = [:]
    /// How many waits had begun when the last packet of an epoch came.
    private var waits: [Int: UInt64] = [:]

    func look(_ kernel: FakeKernel) {
        let now = Found(kernel, in: kernel.epoch)
        if !admitted.contains(now) { faults.append("\(now), not one of \(admitted)") }
        for (epoch, was) in onTheWay where epoch != kernel.epoch {
            if Found(kernel, in: epoch) != was { faults.append("epoch \(epoch) changed under packets on their way") }
            if generations[epoch] != Self.generations(kernel, epoch) { faults.append("generations of epoch \(epoch)") }
        }
        onTheWay[kernel.epoch] = now
        waits[kernel.epoch] = kernel.waits
        generations[kernel.epoch] = Self.generations(kernel, kernel.epoch)
    }

    private static func generations(_ kernel: FakeKernel, _ epoch: Int) -> [UInt32] {
        PeerSample.pods.map { kernel.load(apus_endpoint.self, .endpoints, $0)?[epoch].generation ?? 0 }
    }

    /// No packet is on its way any more that came before a wait began.
    func forget(_ wait: UInt64) { onTheWay = onTheWay.filter { waits[$0.key] ?? 0 >= wait } }
}

@Suite("The epoch of what judges")
struct PolicyEpochTests {
    private static func rig(_ watch: EpochWatch) -> Rig {
        var rig = Rig()
        rig.tables.fullPatience = 1000
        rig.tables.apply(PeerSample.endpoints)
        rig.program()
        rig.kernel.afterWrite = { watch.look($0) }
        rig.kernel.afterWait = { watch.forget($0) }
        return rig
    }

    @Test(
        "Peers and endpoints become others all at once, and nothing changes for packets on their way",
        arguments: 1...20 as ClosedRange<UInt64>, [false, true])
    func atOnce(seed: UInt64, isFaulty: Bool) throws {
        var sample = PeerSample(seed: seed)
        let watch = EpochWatch()
        var rig = Self.rig(watch)
        var faults = RandomSource(seed: seed &+ 500)
        for step in 0..<80 {
            let before = sample.wanted
            rig.tables.apply(sample.change())
            watch.admitted = [before, sample.wanted]
            rig.kernel.fails = { _ in isFaulty && faults.next() % 10 == 0 }
            while !rig.program(after: faults.next() % 4).isComplete {}
            rig.kernel.fails = { _ in false }
            try #require(watch.faults.isEmpty, "seed \(seed), step \(step): \(watch.faults[0])")
            try #require(Found(rig.kernel, in: rig.kernel.epoch) == sample.wanted, "seed \(seed), step \(step)")
            #expect(try rig.tables.verify(rig.kernel).isEmpty)
        }
        _ = rig.settle()
        try expectEven(rig.kernel)
        #expect(rig.kernel.hashes[.peerClasses]?.count ?? 0 == sample.classes.count)
        #expect(rig.kernel.hashes[.peerPrefixes]?.count ?? 0 == sample.prefixes.count)
    }

    /// What is left of changes: nothing.
    private func expectEven(_ kernel: FakeKernel) throws {
        for table in [DatapathTable.peerClasses, .peerPrefixes] {
            for (key, value) in kernel.hashes[table] ?? [:] {
                let inForce = try #require(PeerRecords.value(value, in: kernel.epoch))
                #expect(value == PeerRecords.even(inForce), "\(table) \(table.text(ofKey: key))")
            }
        }
        for number in PeerSample.pods {
            let raw = try #require(kernel.load(apus_endpoint.self, .endpoints, number))
            #expect(Bytes(of: raw) == kernel.endpoint(number).map { Bytes(of: $0) })
        }
    }

    @Test(
        "An agent that dies at any write leaves a whole state, and the next one goes on from there", arguments: 1...40)
    func death(seed: UInt64) throws {
        var sample = PeerSample(seed: UInt64(seed))
        let watch = EpochWatch()
        var rig = Self.rig(watch)
        for step in 0..<30 {
            let before = sample.wanted
            rig.tables.apply(sample.change())
            watch.admitted = [before, sample.wanted]
            var left = Int.random(in: 0...8, using: &sample.random)
            rig.kernel.fails = { _ in
                left -= 1
                return left < 0
            }
            rig.program()
            rig.kernel.fails = { _ in false }
            if Bool.random(using: &sample.random) {
                rig = try rig.restarted()
                rig.tables.fullPatience = 1000
                rig.tables.apply(sample.everything)
                rig.tables.removeStale()
            }
            #expect(rig.program().isComplete)
            try #require(watch.faults.isEmpty, "seed \(seed), step \(step): \(watch.faults[0])")
            try #require(Found(rig.kernel, in: rig.kernel.epoch) == sample.wanted, "seed \(seed), step \(step)")
        }
        _ = rig.settle()
        try expectEven(rig.kernel)
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
    }

    @Test("A number of the epoch that somebody else has changed is named and put right")
    func misplaced() throws {
        var sample = PeerSample(seed: 7)
        var rig = Rig()
        rig.tables.apply(PeerSample.endpoints + sample.change())
        _ = rig.settle()
        _ = rig.kernel.store(.policyEpoch, first: 0, Bytes(of: UInt32(rig.kernel.epoch + 1)))
        let found = try rig.tables.repair(rig.kernel)
        #expect(found.map(\.table) == [.policyEpoch])
        rig.program()
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
        #expect(Found(rig.kernel, in: rig.kernel.epoch) == sample.wanted)
    }

    @Test("Kernels that refuse to change what a full prefix map holds let it go all the same")
    func fullTrie() throws {
        var rig = Rig()
        let prefixes = (0..<4).map { CIDR("10.0.\($0).0/24")! }
        rig.tables.apply(prefixes.map { .policy(.setPrefixClass($0, ClassID(rawValue: 5))) })
        _ = rig.settle()
        rig.kernel.limits[.peerPrefixes] = 4
        rig.kernel.refusesReplacement = true
        rig.tables.apply([.policy(.removePrefixClass(prefixes[0]))])
        #expect(!rig.program().isComplete)
        for _ in 0..<6 { rig.program() }
        #expect(rig.settle().isComplete)
        #expect(rig.kernel.hashes[.peerPrefixes]?.count == 3)
    }

    @Test("A wait begins with every change, and each change waits for the one three before it at most")
    func waitsBeside() throws {
        var rig = Rig()
        rig.tables.apply(PeerSample.endpoints)
        _ = rig.settle()
        let before = rig.kernel.waits
        var ended: [UInt64] = []
        rig.kernel.afterWait = { ended.append($0 - before) }
        for policy in 1...6 as ClosedRange<UInt32> {
            let assigned = EndpointPolicies(ingress: PolicyID(rawValue: policy), egress: .none)
            rig.tables.apply([.policy(.setEndpoint(pod(1), assigned))])
            rig.program(after: 0)
        }
        #expect(rig.kernel.waits - before == 6)
        #expect(ended == [1, 2, 3])
    }

    @Test("What an endpoint's packets can't be waited for holds up its change, and nothing else")
    func noWait() throws {
        var rig = Rig()
        rig.tables.apply(PeerSample.endpoints)
        rig.program()
        rig.kernel.failsToWait = true
        for policy in 1...5 as ClosedRange<UInt32> {
            let assigned = EndpointPolicies(ingress: PolicyID(rawValue: policy), egress: .none)
            rig.tables.apply([.policy(.setEndpoint(pod(1), assigned)), service(Int(policy), [1])])
            rig.program(after: 0)
        }
        #expect(rig.kernel.endpoint(1)?.ingress_policy == 3, "three epochs are free")
        #expect(rig.kernel.hashes[.services]?.count == 5)
        #expect(!rig.program(after: 0).isComplete)
        rig.kernel.failsToWait = false
        #expect(rig.program(after: 0).isComplete)
        #expect(rig.kernel.endpoint(1)?.ingress_policy == 5)
    }
}
