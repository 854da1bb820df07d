import Addressing
import BPF
@testable import Datapath
import DatapathABI
import DomainNames
import Flows
import Glibc
import LinuxKernel
import PolicyGenerators
import Testing

/// `DatapathKernel` over real maps: starts, restarts, other sizes, cleanup.
@Suite(.serialized) struct KernelTests {
    @Test("A second start uses the same maps, and finds in them what was written")
    func adoption() throws {
        let node = try KernelNode()
        var tables = try node.start().tables
        let ids = try node.mapIDs()
        let (kernel, adopted) = try node.start()
        #expect(try node.mapIDs() == ids)
        #expect(!kernel.isBeside)
        #expect(try kernel.verify(adopted).isEmpty)
        // What was adopted needs no write.
        tables = adopted
        #expect(kernel.program(&tables, now: 1 << 40).written == 0)
    }

    @Test("Maps of other sizes are made beside, and take over with everything that was in the old ones")
    func otherSizes() throws {
        let node = try KernelNode()
        let first = try node.start()
        let before = try node.contents()
        try node.writeConnections(100)
        let ids = try node.mapIDs()
        var options = node.options
        options.capacities.slots = 512
        options.capacities.connections = 2048

        let kernel = try DatapathKernel(options)
        #expect(kernel.isBeside)
        #expect(try node.mapIDs() == ids, "the maps in use stay until the switch")
        #expect(!node.pins.names(in: node.pins.nextMaps).isEmpty)
        var tables = node.emptyTables(options)
        try kernel.adopt(into: &tables)
        try node.want(&tables)
        #expect(kernel.program(&tables, now: 1 << 40).isComplete)
        try kernel.activate()

        #expect(!kernel.isBeside && node.pins.names(in: node.pins.nextMaps).isEmpty)
        #expect(try BPFMap.open(pinned: node.pins.map("slots")).shape.maxEntries == 512)
        #expect(try kernel.verify(tables).isEmpty)
        // A moment later nothing tells any more how it came about.
        #expect(kernel.program(&tables, now: 1 << 41).isComplete)
        #expect(try node.contents().filter { $0.key.isIdentifying } == before.filter { $0.key.isIdentifying })
        #expect(try node.connectionCount() == 100)
        #expect(try node.mapIDs()["connections"] != ids["connections"])
        #expect(first.kernel.capacities.slots == 256)
    }

    @Test("Only the connections are made anew when only their size is another")
    func otherConnections() throws {
        let node = try KernelNode()
        _ = try node.start()
        try node.writeConnections(10)
        let ids = try node.mapIDs()
        var options = node.options
        options.capacities.connections = 2048
        _ = try node.start(options)
        let changed = try node.mapIDs().filter { ids[$0.key] != $0.value }.keys
        #expect(Set(changed) == ["connections", "translations"])
        #expect(try node.connectionCount() == 10)
    }

    @Test("A start that ends before the switch changes nothing, and the next one tidies up")
    func interruptedRebuild() throws {
        let node = try KernelNode()
        _ = try node.start()
        let ids = try node.mapIDs()
        var options = node.options
        options.capacities.slots = 512
        do { _ = try DatapathKernel(options) }
        #expect(!node.pins.names(in: node.pins.nextMaps).isEmpty)
        let (kernel, tables) = try node.start()
        #expect(try node.mapIDs() == ids)
        #expect(node.pins.names(in: node.pins.nextMaps).isEmpty)
        #expect(try kernel.verify(tables).isEmpty)
    }

    @Test("What TCP sends again is counted from each start by its programs, and by none where flows are not told")
    func tracepoints() throws {
        let node = try KernelNode()
        let names = ["retransmitted-answer", "retransmitted-segment"]
        func links() -> [String] { node.pins.names(in: node.pins.links).filter { $0.hasPrefix("retransmitted") } }
        func programs() throws -> [UInt32] {
            try links().map { try BPFLink.open(pinned: node.pins.link($0)).info().programID }
        }
        let first = try node.start().kernel
        #expect(first.tracingError == nil)
        try first.attachTracepoints()
        #expect(links() == names && first.checkLinks(pods: [], uplinks: []).missing.allSatisfy { !names.contains($0) })
        let before = try programs()
        try first.attachTracepoints()
        #expect(try programs() == before, "they are there")
        #expect(try unpin(node.pins.link(names[0])))
        #expect(first.checkLinks(pods: [], uplinks: []).missing.contains(names[0]))
        try first.attachTracepoints()
        #expect(links() == names)
        let next = try node.start().kernel
        try next.attachTracepoints()
        #expect(Set(try programs()).isDisjoint(with: before) && links() == names)
        var options = node.options
        options.flowDetail = .none
        let silent = try node.start(options).kernel
        try silent.attachTracepoints()
        #expect(links().isEmpty && silent.tracingError == nil)
        let last = try node.start().kernel
        try last.attachTracepoints()
        let removed = try DatapathKernel.removeAll(bpffs: node.root)
        #expect(names.allSatisfy { name in removed.contains { $0.hasSuffix("/\(name)") } })
    }

    @Test("A start that ends in the middle of the switch has switched: the next one goes on with the new maps")
    func interruptedSwitch() throws {
        let node = try KernelNode()
        let cgroup = try TestCgroup()
        try node.start().kernel.attachSockets(cgroup: cgroup.path)
        try node.writeConnections(10)
        let ids = try node.mapIDs()
        var options = node.options
        options.capacities.slots = 512
        options.capacities.connections = 2048
        do {
            let kernel = try DatapathKernel(options)
            var tables = node.emptyTables(options)
            try kernel.adopt(into: &tables)
            try node.want(&tables)
            #expect(kernel.program(&tables, now: 1 << 40).isComplete)
            try kernel.switchMaps()
        }
        let switched = try node.mapIDs()
        #expect(switched["connections"] != ids["connections"])
        #expect(node.pins.names(in: node.pins.nextMaps).isEmpty)
        // The programs run on the new maps already: what they see is kept.
        try node.writeConnections(12)
        let (kernel, tables) = try node.start(options)
        #expect(try node.mapIDs() == switched)
        #expect(try node.connectionCount() == 12)
        #expect(try kernel.verify(tables).isEmpty)
    }

    @Test("Maps of another ABI version are not read, and replaced")
    func otherABI() throws {
        let node = try KernelNode()
        _ = try node.start()
        let ids = try node.mapIDs()
        try node.setLayouts(MapLayouts.current.next(changing: Set(MapLayouts.Group.allCases)))
        let (kernel, tables) = try node.start()
        #expect(kernel.previous == nil && kernel.replacesForeign)
        #expect(try kernel.verify(tables).isEmpty)
        for (name, id) in try node.mapIDs() { #expect(ids[name] != id, "\(name)") }
    }

    @Test(
        "What another ABI version has alike is used on or taken over, and what it changed is made anew, in each direction",
        arguments: [[], [.policies, .services], [.connections], [.numbers, .learned]] as [Set<MapLayouts.Group>])
    func sharedLayouts(changed: Set<MapLayouts.Group>) throws {
        let node = try KernelNode()
        let next = MapLayouts.current.next(changing: changed)
        var options = node.options
        _ = try node.start()
        for layouts in [next, .current] {
            let (before, endpoints) = (try node.mapIDs(), try node.endpointIdentities())
            try node.writeConnections(12)
            options.layouts = layouts
            let (kernel, tables) = try node.start(options)
            #expect(!kernel.isBeside && node.pins.names(in: node.pins.nextMaps).isEmpty)
            #expect(kernel.replacesForeign == !changed.isDisjoint(with: [.numbers, .policies]))
            #expect(try kernel.verify(tables).isEmpty)
            let after = try node.mapIDs()
            let keepsConnections = changed.isDisjoint(with: [.connections, .numbers])
            for map in ["connections", "translations", "affinities", "socket_translations"] {
                #expect((before[map] == after[map]) == keepsConnections, "\(map)")
            }
            #expect((before["learned_names"] == after["learned_names"]) == !changed.contains(.learned))
            for map in ["datapath_info", "endpoints", "events"] { #expect(before[map] != after[map], "\(map)") }
            if !changed.contains(.numbers) { #expect(try node.endpointIdentities() == endpoints) }
            #expect(try DatapathReader(bpffs: node.root, version: layouts.version).info().abiVersion == layouts.version)
        }
    }

    @Test("Groups of maps have the places that the header gives them")
    func groupsOfMaps() {
        let places = [
            APUS_LAYOUT_NUMBERS, APUS_LAYOUT_POLICIES, APUS_LAYOUT_SERVICES, APUS_LAYOUT_CONNECTIONS,
            APUS_LAYOUT_LEARNED,
        ]
        #expect(MapLayouts.Group.allCases.map(\.rawValue) == places.map { Int($0) })
        #expect(MapLayouts.Group.allCases.count == Int(APUS_LAYOUT_COUNT))
    }

    @Test("Pins of others among the maps stay where they are when these change places")
    func strangersAmongMaps() throws {
        let node = try KernelNode()
        _ = try node.start()
        let shape = BPFMapShape(type: .array, keySize: 4, valueSize: 4, maxEntries: 1)
        try BPFMap.create(shape, name: "stranger").pin(at: node.pins.map("stranger"))
        var options = node.options
        options.layouts = MapLayouts.current.next(changing: [])
        _ = try node.start(options)
        #expect(node.pins.names(in: node.pins.maps).contains("stranger"))
        #expect(node.pins.names(in: node.pins.nextMaps).isEmpty)
    }

    @Test("What was learned outlives an upgrade to another ABI version that keeps its layout")
    func learnedOverUpgrade() throws {
        let node = try KernelNode()
        _ = try node.start()
        let key = apus_learned_key(address: Raw.address("198.51.100.1"), policy: 7, part: 0)
        var address = apus_learned_address()
        address.learned = [apus_learned_use(name: 42, end_ns: .max)]
        try BPFMap.open(pinned: node.pins.map("learned_addresses")).update(key, address)
        var name = apus_learned_name()
        (name.set, name.length) = (9, 10)
        withUnsafeMutableBytes(of: &name.text) { $0.copyBytes(from: "a.web.test".utf8) }
        try BPFMap.open(pinned: node.pins.map("learned_names")).update(UInt64(42), name)
        try node.setVersion(UInt32(APUS_LEARNED_SINCE))
        let (kernel, _) = try node.start()
        #expect(kernel.previous == nil)
        let learned = try DatapathReader(bpffs: node.root).learned()
        #expect(learned.map(\.name) == ["a.web.test"] && learned.map(\.end) == [.max])
    }

    @Test("New maps begin with the automaton of those before, so that names count until another one is in force")
    func automatonOverUpgrade() throws {
        let node = try KernelNode()
        let first = try node.start()
        let automaton = DomainAutomaton(compiling: [try DomainPattern(fqdnPattern: "*.web.test")])
        #expect(first.kernel.install(DomainProgram(automaton)) == .done)
        let rows = try BPFMap.open(pinned: node.pins.map("domain_automaton")).lookup(UInt32(0), as: UInt32.self)
        try node.setVersion(UInt32(APUS_LEARNED_SINCE))
        let kernel = try DatapathKernel(node.options)
        var tables = node.emptyTables(node.options)
        try kernel.adopt(into: &tables)
        #expect(rows != nil)
        #expect(try kernel.box("domain_automaton").map.lookup(UInt32(0), as: UInt32.self) == rows)
    }

    @Test("An automaton counts as put in force when all names that are held have their patterns in it")
    func busyNames() throws {
        let node = try KernelNode()
        let kernel = try node.start().kernel
        let lesson = NameLesson(
            name: "a.web.test", set: 9, time: 1, policies: [7],
            addresses: [
                apus_lesson_address(
                    address: Raw.address("198.51.100.1"), end_ns: .max, used_ns: 1, judged: 0, padding: 0)
            ])
        #expect(try kernel.programs.names.learn(lesson) == .APUS_LESSON_LEARNED)
        let names = try BPFMap.open(pinned: node.pins.map("learned_names"))
        let key = try #require(try names.learnedNames().first?.key)
        var held = try #require(try names.lookup(key, as: apus_learned_name.self))
        let holds = held.holds
        // Another CPU deletes it just now.
        held.holds = 0
        try names.update(key, held)
        let program = DomainProgram(DomainAutomaton(compiling: [try DomainPattern(fqdnPattern: "*.web.test")]))
        let outcome = kernel.install(program)
        #expect(outcome.isInForce && outcome.failure?.description.contains("a.web.test") == true)
        held.holds = holds
        try names.update(key, held)
        #expect(kernel.install(program) == .done)
        #expect(
            try names.lookup(key, as: apus_learned_name.self)?.set == program.set(matching: "a.web.test".utf8))
    }

    @Test("What the old programs learn while it is copied is copied after all, and each name keeps its later end")
    func learnedWhileCopied() throws {
        let node = try KernelNode()
        _ = try node.start()
        let addresses = try BPFMap.open(pinned: node.pins.map("learned_addresses"))
        let names = try BPFMap.open(pinned: node.pins.map("learned_names"))
        func hold(_ address: String, _ uses: [(name: UInt64, end: UInt64)]) throws {
            var value = apus_learned_address()
            value.learned = uses.map { apus_learned_use(name: $0.name, end_ns: $0.end) }
            try addresses.update(apus_learned_key(address: Raw.address(address), policy: 7, part: 0), value)
            for use in uses {
                var name = apus_learned_name()
                name.length = 6
                withUnsafeMutableBytes(of: &name.text) { $0.copyBytes(from: "\(use.name).test".utf8) }
                try names.update(use.name, name)
            }
        }
        try node.setVersion(UInt32(APUS_LEARNED_SINCE))
        var options = node.options
        options.capacities.learnedNames *= 2
        let kernel = try DatapathKernel(options)
        try hold("198.51.100.1", [(1, 100)])
        try hold("198.51.100.2", [(1, 900)])
        try kernel.copyLearnedFromFormer()
        // Renewed, learned under another name, renewed for less, and new.
        try hold("198.51.100.1", [(1, 200), (2, 300)])
        try hold("198.51.100.2", [(1, 800)])
        try hold("198.51.100.3", [(2, 400)])
        try kernel.copyLearnedFromFormer()
        let held = try kernel.box("learned_addresses").map.learnedAddresses().map {
            $0.value.learned.map(\.end_ns).sorted()
        }
        #expect(Set(held) == [[200, 300], [900], [400]])
        #expect(Set(try kernel.box("learned_names").map.learnedNames().map(\.record.name)) == ["1.test", "2.test"])
        #expect(kernel.uncopiedNames == 0)
    }

    @Test("A missing map is made again, with what belongs to it", arguments: ["services", "connections", "drops"])
    func missingMap(name: String) throws {
        let node = try KernelNode()
        _ = try node.start()
        #expect(try unpin(node.pins.map(name)))
        let (kernel, tables) = try node.start()
        let drift = try kernel.verify(tables)
        #expect(drift.isEmpty, "\(drift)")
        #expect(node.pins.names(in: node.pins.maps).contains(name))
    }

    @Test("Links to sockets outlive the process and get the programs of the next one")
    func socketLinks() throws {
        let node = try KernelNode()
        let cgroup = try TestCgroup()
        try node.start().kernel.attachSockets(cgroup: cgroup.path)
        let before = try node.links()
        #expect(before.count == SocketHook.allCases.count)
        let (kernel, _) = try node.start()
        try kernel.attachSockets(cgroup: cgroup.path)
        let after = try node.links()
        for (name, info) in before {
            #expect(after[name]?.id == info.id && after[name]?.programID != info.programID, "\(name)")
        }
        // Another cgroup: the links move.
        let other = try TestCgroup()
        try kernel.attachSockets(cgroup: other.path)
        #expect(try node.links().values.allSatisfy { link in !after.values.contains { $0.id == link.id } })
        #expect(try DatapathKernel.removeAll(bpffs: node.root).count > before.count)
    }

    @Test("Cleanup removes every pin of ours and nobody else's")
    func cleanup() throws {
        let node = try KernelNode()
        _ = try node.start()
        var options = node.options
        options.capacities.slots = 512
        do { _ = try DatapathKernel(options) }
        let shape = BPFMapShape(type: .array, keySize: 4, valueSize: 4, maxEntries: 1)
        try BPFMap.create(shape, name: "stranger").pin(at: "\(node.root)/stranger")
        let removed = try DatapathKernel.removeAll(bpffs: node.root)
        #expect(removed.count > 20)
        #expect(node.pins.names(in: node.root) == ["stranger"])
        #expect(try DatapathKernel.removeAll(bpffs: node.root).isEmpty)
        #expect(try unpin("\(node.root)/stranger"))
        _ = try DatapathKernel.removeAll(bpffs: node.root)
        #expect(access(node.root, F_OK) != 0)
    }

    @Test("Where no bpf file system is, the error says what to do")
    func noFileSystem() {
        #expect {
            _ = try DatapathKernel(DatapathOptions(bpffs: "/tmp/apus-nowhere/\(getpid())"))
        } throws: { error in
            "\(error)".contains("mount -t bpf")
        }
    }
}

/// A node's bpf file system that goes when the test ends.
private final class KernelNode {
    private let mount: String
    var root: String { "\(mount)/apus" }
    var pins: PinDirectory { PinDirectory(root: root) }

    init() throws {
        var template = Array("/tmp/apus-kernel-\(getpid())-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BPFError(operation: "mkdtemp", errno: Errno(rawValue: errno)) }
        mount = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try BPFFileSystem.mount(at: mount)
    }

    deinit {
        try? BPFFileSystem.unmount(mount)
        rmdir(mount)
    }

    var options: DatapathOptions {
        var capacities = TableCapacities.small
        capacities.connections = 1024
        capacities.halfOpen = 256
        capacities.eventBytes = 4096
        return DatapathOptions(bpffs: root, capacities: capacities)
    }

    func emptyTables(_ options: DatapathOptions) -> DatapathTables {
        DatapathTables(
            node: "node-1", startedAt: 1, capacities: options.capacities, grace: 10, layouts: options.layouts)
    }

    /// Has the pinned maps be those of another version.
    func setVersion(_ version: UInt32) throws {
        let info = try BPFMap.open(pinned: pins.map("datapath_info"))
        var value = try #require(try info.lookup(UInt32(0), as: apus_info.self))
        value.abi_version = version
        try info.update(UInt32(0), value)
    }

    /// Has the pinned maps be those of a build with these.
    func setLayouts(_ layouts: MapLayouts) throws {
        let info = try BPFMap.open(pinned: pins.map("datapath_info"))
        var value = try #require(try info.lookup(UInt32(0), as: apus_info.self))
        value.abi_version = layouts.version
        value.layouts = (
            layouts.since[0], layouts.since[1], layouts.since[2], layouts.since[3], layouts.since[4]
        )
        try info.update(UInt32(0), value)
    }

    /// The identity in each slot.
    func endpointIdentities() throws -> [UInt32] {
        let elements = try PinnedTables(pins).elements(of: .endpoints)
        let size = MemoryLayout<apus_endpoint>.size
        return (0..<elements.count / size).compactMap { elements.load(apus_endpoint.self, at: $0 * size)?.identity }
    }

    /// What every start wants.
    func want(_ tables: inout DatapathTables) throws {
        var world = RandomWorld(seed: 11)
        for _ in 0..<40 { _ = world.change() }
        tables.apply(world.everything())
        tables.removeStale()
    }

    /// A start as the agent makes it.
    @discardableResult
    func start(_ options: DatapathOptions? = nil) throws -> (kernel: DatapathKernel, tables: DatapathTables) {
        let kernel = try DatapathKernel(options ?? self.options)
        var tables = emptyTables(kernel.options)
        try kernel.adopt(into: &tables)
        try want(&tables)
        for pass in 1...5 {
            _ = kernel.program(&tables, now: UInt64(pass) << 32)
        }
        try kernel.activate()
        return (kernel, tables)
    }

    func mapIDs() throws -> [String: UInt32] {
        try pins.names(in: pins.maps).reduce(into: [:]) { ids, name in
            ids[name] = try BPFMap.open(pinned: pins.map(name)).info.id
        }
    }

    func links() throws -> [String: BPFLinkInfo] {
        try pins.names(in: pins.links).reduce(into: [:]) { links, name in
            links[name] = try BPFLink.open(pinned: pins.link(name)).info()
        }
    }

    /// The entries of every hash map of the agent.
    func contents() throws -> [DatapathTable: Set<TableEntry>] {
        let reader = PinnedTables(pins)
        return try DatapathTable.allCases.filter { !$0.isArray }.reduce(into: [:]) { result, table in
            result[table] = Set(try reader.entries(of: table))
        }
    }

    func writeConnections(_ count: Int) throws {
        let map = try BPFMap.open(pinned: pins.map("connections"))
        for number in 0..<count {
            var key = apus_connection_key()
            key.low_port = UInt16(number)
            var value = apus_connection()
            value.opened_ns = UInt64(number)
            try map.update(key, value)
        }
    }

    func connectionCount() throws -> Int {
        var count = 0
        try BPFMap.open(pinned: pins.map("connections")).forEachEntry { _, _ in count += 1 }
        return count
    }
}

/// A cgroup without processes.
private final class TestCgroup {
    let path: String
    nonisolated(unsafe) private static var count = 0

    init() throws {
        Self.count += 1
        let mount = try #require(try MountTable.current().cgroup2Path)
        path = "\(mount)/apus-kernel-test-\(getpid())-\(Self.count)"
        #expect(mkdir(path, 0o755) == 0)
    }

    deinit { rmdir(path) }
}

extension DatapathTable {
    /// Whether its entries hold no numbers of slots, which other sizes may move.
    fileprivate var isIdentifying: Bool { self != .services }
}

/// Apart from the others, which take turns: it takes the longest, in a process of its own.
struct KernelLeakTests {
    @Test("A hundred starts and removals of the whole data path leave no descriptor")
    func noLeak() async {
        // A process of its own: other tests open descriptors meanwhile.
        await #expect(processExitsWith: .success) {
            // Nearly all of the time is the verifier's, and which descriptors there are does not depend on what it walks
            // through: most starts leave the options off that it takes longest for.
            func cycle(_ number: Int) throws {
                let node = try KernelNode()
                var options = node.options
                if !number.isMultiple(of: 10) { (options.redirectsToPeer, options.flowDetail) = (false, .none) }
                _ = try node.start(options)
                _ = try DatapathKernel.removeAll(bpffs: node.root)
            }
            try cycle(0)
            let before = try FileDescriptor.openCount()
            for number in 1...100 { try cycle(number) }
            try #require(try FileDescriptor.openCount() == before)
        }
    }
}
