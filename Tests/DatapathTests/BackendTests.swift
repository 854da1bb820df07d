import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import PolicyGenerators
import Testing

@Suite("The entries of backends, and how long what was led to one stays")
struct BackendTests {
    private static func entry(_ rig: Rig, _ index: Int) -> String {
        DatapathTable.backends.text(
            ofValue: Bytes(of: rig.kernel.load(apus_backend.self, .backends, index) ?? apus_backend()))
    }

    /// The texts of all entries that are in use.
    private static func entries(_ rig: Rig) -> [String] {
        let count = rig.kernel.elements(of: .backends).count / DatapathTable.backends.valueSize
        return (0..<count).map { entry(rig, $0) }.filter { $0 != "free" }
    }

    private static func hash(_ number: Int) -> String {
        guard case .service(.set(_, let program)) = datagrams(number, []) else { return "" }
        return String(program.backendOwner(.udp), radix: 16)
    }

    private static func words(_ number: Int, _ address: Int, isGone: Bool = false) -> String {
        "UDP 10.0.0.\(address):8080 of Service port \(hash(number))" + (isGone ? ", serves no more" : "")
    }

    @Test("With UDP each Service port has its own, which ends for itself alone")
    func ownEntries() {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1]), datagrams(2, [1]), service(3, [1]), service(4, [1])])
        rig.program()
        #expect(Self.entries(rig) == [Self.words(1, 1), Self.words(2, 1), "TCP 10.0.0.1:8080"])
        rig.tables.apply([datagrams(1, [2]), service(3, [2])])
        #expect(rig.program().hasCutOff)
        #expect(Self.entry(rig, 1) == Self.words(1, 1, isGone: true))
        #expect(Self.entry(rig, 2) == Self.words(2, 1) && Self.entry(rig, 3) == "TCP 10.0.0.1:8080")
        _ = rig.settle()
        #expect(Self.entry(rig, 1) == "free")
    }

    @Test("Frontends of one Service port share them: it ends with the last")
    func sharedByFrontends() {
        var rig = Rig()
        guard case .service(.set(_, let program)) = datagrams(1, [1]) else { return }
        let frontends = [datagramFrontend(1), datagramFrontend(2)]
        rig.tables.apply(frontends.map { .service(.set($0, program)) })
        rig.program()
        #expect(Self.entries(rig) == [Self.words(1, 1)])
        rig.tables.apply([.service(.remove(frontends[0]))])
        #expect(!rig.program().hasCutOff)
        rig.tables.apply([.service(.remove(frontends[1]))])
        #expect(rig.program().hasCutOff)
        #expect(Self.entries(rig) == [Self.words(1, 1, isGone: true)])
    }

    @Test("One that gets nothing new and still serves stays, until it serves no more")
    func kept() {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1, 2])])
        rig.program()
        rig.tables.apply([datagrams(1, [2], keeping: [1, 3])])
        #expect(!rig.program().hasCutOff)
        _ = rig.settle()
        // Nothing was ever led to the third one.
        #expect(Self.entries(rig) == [Self.words(1, 1), Self.words(1, 2)])
        // What comes together counts together.
        rig.tables.apply([datagrams(1, [2])])
        rig.tables.apply([datagrams(1, [2], keeping: [1])])
        #expect(!rig.program().hasCutOff)
        rig.tables.apply([datagrams(1, [2])])
        #expect(rig.program().hasCutOff)
        #expect(Self.entries(rig) == [Self.words(1, 1, isGone: true), Self.words(1, 2)])
        _ = rig.settle()
        #expect(Self.entries(rig) == [Self.words(1, 2)])
    }

    @Test("A pass that is too early to lead elsewhere leaves it as it is")
    func order() {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1])])
        rig.program()
        rig.kernel.fails = { $0 == .services }
        rig.tables.apply([datagrams(1, [2])])
        #expect(!rig.program().hasCutOff)
        #expect(Self.entry(rig, 1) == Self.words(1, 1))
        rig.kernel.fails = { _ in false }
        #expect(rig.program().hasCutOff)
        #expect(Self.entry(rig, 1) == Self.words(1, 1, isGone: true))
    }

    @Test("One that comes back within the grace period serves again under its index")
    func back() {
        var rig = Rig()
        for backends in [[1], [2], [1]] {
            rig.tables.apply([datagrams(1, backends)])
            rig.program()
        }
        #expect(Self.entry(rig, 1) == Self.words(1, 1))
        #expect(Self.entry(rig, 2) == Self.words(1, 2, isGone: true))
    }

    @Test("A restarted agent finds them again, those too that no slot leads to")
    func adoption() throws {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1, 2]), datagrams(2, [1])])
        rig.program()
        let edits = [datagrams(1, [2], keeping: [1]), datagrams(2, [1])]
        rig.tables.apply(edits)
        _ = rig.settle()
        let before = rig.kernel.elements(of: .backends)
        var other = try rig.restarted()
        other.tables.apply(edits)
        other.tables.removeStale()
        #expect(other.tables.plan(now: other.now + 1).isEmpty, "\(text(of: other.tables.plan(now: other.now + 1)))")
        // Another change moves nobody either.
        other.tables.apply([datagrams(1, [2, 3], keeping: [1]), datagrams(2, [1, 3])])
        _ = other.settle()
        #expect(other.kernel.elements(of: .backends).starts(with: before))
    }

    @Test("What came to serve no more while no agent ran ends with the next one's start")
    func leftMeanwhile() throws {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1, 2])])
        rig.program()
        rig.tables.apply([datagrams(1, [2], keeping: [1])])
        _ = rig.settle()
        var other = try rig.restarted()
        other.tables.apply([datagrams(1, [2])])
        other.tables.keepStale()
        #expect(!other.program().hasCutOff)
        other.tables.removeStale()
        #expect(other.program().hasCutOff)
        #expect(Self.entries(other) == [Self.words(1, 2)])
    }

    @Test("After an upgrade datagrams stay where they are, under the entries that all Services have")
    func entriesOfAll() throws {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1]), datagrams(2, [2])])
        _ = rig.settle()
        for index in 1...2 {
            var entry = try #require(rig.kernel.load(apus_backend.self, .backends, index))
            entry.in_use = UInt32(APUS_BACKEND_OF_ALL)
            _ = rig.kernel.store(.backends, first: index, Bytes(of: entry))
        }
        var other = try rig.restarted()
        other.tables.apply([datagrams(1, [1]), datagrams(2, [2])])
        other.tables.removeStale()
        #expect(other.tables.plan(now: other.now + 1).isEmpty)
        other.tables.apply([datagrams(1, [1, 2, 3]), datagrams(2, [3], keeping: [2])])
        #expect(!other.program().hasCutOff)
        _ = other.settle()
        #expect(
            Self.entries(other)
                == ["UDP 10.0.0.1:8080", "UDP 10.0.0.2:8080", Self.words(1, 3), Self.words(2, 3)])
    }

    @Test("An index is not given on to another Service port for the same address")
    func reuse() {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1])])
        rig.program()
        rig.tables.apply([.service(.remove(datagramFrontend(1)))])
        _ = rig.settle()
        rig.tables.apply([datagrams(2, [1])])
        rig.program()
        #expect(Self.entry(rig, 1) == "free" && Self.entry(rig, 2) == Self.words(2, 1))
        rig.tables.apply([datagrams(1, [1]), datagrams(3, [5])])
        rig.program()
        #expect(Self.entry(rig, 1) == Self.words(1, 1) && Self.entry(rig, 3) == Self.words(3, 5))
    }

    @Test("A frontend that goes to another Service leads to that one's entries")
    func otherOwner() {
        var rig = Rig()
        rig.tables.apply([datagrams(1, [1])])
        rig.program()
        guard case .service(.set(_, let program)) = datagrams(2, [1]) else { return }
        rig.tables.apply([.service(.set(datagramFrontend(1), program))])
        rig.program()
        #expect(Self.entries(rig) == [Self.words(1, 1, isGone: true), Self.words(2, 1)])
    }

    @Test("Without room for other backends what was led to the present ones stays")
    func noRoom() {
        var rig = Rig(TableCapacities(endpoints: 64, services: 64, slots: 256, backends: 3, names: 1024))
        rig.tables.apply([datagrams(1, [1, 2])])
        rig.program()
        rig.tables.apply([datagrams(1, [2, 3], keeping: [1])])
        #expect(!rig.program().hasCutOff)
        #expect(!rig.tables.exhausted.isEmpty && Self.entries(rig) == [Self.words(1, 1), Self.words(1, 2)])
    }

    @Test("In a world that changes at random it stays exactly as long as its backend serves", arguments: 1...20)
    func flows(seed: UInt64) throws {
        var world = RandomWorld(seed: seed)
        var rig = Rig()
        var flows = Flows()
        for round in 1...200 {
            if round % 40 == 0 {
                rig = try rig.restarted()
                rig.tables.apply(world.everything())
                rig.tables.removeStale()
                flows.forgetEnded()
            }
            rig.tables.apply(world.change())
            rig.program(after: UInt64.random(in: 1...12, using: &world.random))
            #expect(rig.tables.exhausted.isEmpty)
            let faults = flows.faults(in: rig.kernel, world)
            #expect(faults.isEmpty, "seed \(seed), round \(round)")
            flows.lead(by: rig.kernel, world)
        }
        #expect(flows.endedCount > 0)
    }
}

/// Datagrams that were led through Services to backends, by the index that the programs remember.
private struct Flows {
    private struct Flow: Hashable {
        let service: Int
        let backend: SocketAddress
        let index: Int

        func isTo(_ entry: apus_backend) -> Bool {
            entry.socketAddress == backend && entry.protocol == IPProtocol.udp.rawValue
        }
    }

    private var open: Set<Flow> = []
    private var ended: Set<Flow> = []
    private(set) var endedCount = 0

    /// What is known of free indexes does not outlive an agent.
    mutating func forgetEnded() { ended = [] }

    /// Notes a flow through each slot.
    mutating func lead(by kernel: FakeKernel, _ world: RandomWorld) {
        for number in world.services.keys where RandomWorld.isOfDatagrams(number) {
            guard let value = kernel.hashes[.services]?[datagramFrontend(number).key]?.load(apus_service.self) else {
                continue
            }
            for offset in 0..<Int(value.slot_count) {
                let index = Int(kernel.load(UInt32.self, .slots, Int(value.first_slot) + offset) ?? 0)
                guard let entry = kernel.load(apus_backend.self, .backends, index) else { continue }
                open.insert(Flow(service: number, backend: entry.socketAddress, index: index))
            }
        }
    }

    /// Flows that were cut off although their backend serves, and those that were not although it does not.
    mutating func faults(in kernel: FakeKernel, _ world: RandomWorld) -> [String] {
        let serving = world.services.keys.reduce(into: [Int: Set<SocketAddress>]()) { all, number in
            let numbers = (world.services[number] ?? []) + (world.kept[number] ?? [])
            all[number] = Set(numbers.map { backend($0).address })
        }
        func serves(_ flow: Flow) -> Bool { serving[flow.service]?.contains(flow.backend) ?? false }
        let lost = open.filter { serves($0) && !goesOn($0, kernel) }
        let late = open.union(ended).filter { !serves($0) && goesOn($0, kernel) }
        let left = open.filter { !serves($0) }
        endedCount += left.count
        open.subtract(left)
        // An index that another backend has had tells nothing of this one any more.
        ended = ended.union(left).filter { flow in
            let entry = kernel.load(apus_backend.self, .backends, flow.index) ?? apus_backend()
            return entry.in_use == 0 || flow.isTo(entry)
        }
        return lost.map { "\($0) was lost" } + late.map { "\($0) goes on" }
    }

    /// As the programs find out.
    private func goesOn(_ flow: Flow, _ kernel: FakeKernel) -> Bool {
        guard let entry = kernel.load(apus_backend.self, .backends, flow.index) else { return false }
        return entry.in_use != 0 && !entry.isGone && flow.isTo(entry)
    }
}
