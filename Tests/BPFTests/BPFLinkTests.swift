import BPF
import Glibc
import LinuxKernel
import Testing

@Suite struct BPFLinkTests {
    private static func classifier(_ verdict: Int32) throws(BPFError) -> BPFProgram {
        try BPFProgram.load(.classifier, instructions: BPFInstruction.returning(verdict), name: "classifier")
    }

    private static func nearIndex(in namespace: VethNamespace) throws -> UInt32 {
        var netlink = try Netlink(inNamespaceAt: namespace.path)
        return try #require(try netlink.interface(named: "near")).index
    }

    @Test("A tcx link is made, pinned, adopted, updated and detached", arguments: TrafficSide.allCases)
    func tcxLink(_ side: TrafficSide) throws {
        let (namespace, pins) = (try VethNamespace(), try PinDirectory())
        let index = try Self.nearIndex(in: namespace)
        let path = pins.path + "/link"
        let first = try Self.classifier(0)
        let firstID = try first.info().id
        try inNamespace(namespace.path) { () throws(BPFError) in
            let program = try Self.classifier(-1)
            try BPFLink.attach(program, toInterface: index, side).pin(at: path)
        }
        let link = try BPFLink.open(pinned: path)
        #expect(try link.info().target == .interface(index: index, side))
        #expect(try link.info().programID != firstID)
        try link.update(to: first)
        #expect(try link.info().programID == firstID)
        try link.detach()
        #expect(try link.info().isDead)
        try unpin(path)
    }

    @Test("The link of a removed interface says so and takes no update")
    func removedInterface() throws {
        let (namespace, pins) = (try VethNamespace(), try PinDirectory())
        let index = try Self.nearIndex(in: namespace)
        let path = pins.path + "/link"
        try inNamespace(namespace.path) { () throws(BPFError) in
            try BPFLink.attach(try Self.classifier(0), toInterface: index, .ingress).pin(at: path)
        }
        try namespace.removeVeth()
        let link = try BPFLink.open(pinned: path)
        #expect(try link.info().target == .interface(index: nil, .ingress))
        #expect(try link.info().isDead)
        let replacement = try Self.classifier(0)
        let error = #expect(throws: BPFError.self) { try link.update(to: replacement) }
        #expect(error?.errno == .noLink)
    }

    @Test(
        "A link of XDP is made, pinned, adopted, updated and detached, and nobody else's is replaced",
        arguments: XDPMode.allCases)
    func xdpLink(_ mode: XDPMode) throws {
        let (namespace, pins) = (try VethNamespace(), try PinDirectory())
        let index = try Self.nearIndex(in: namespace)
        let path = pins.path + "/link"
        let first = try BPFProgram.load(.xdp, instructions: BPFInstruction.returning(2), name: "pass")
        try inNamespace(namespace.path) { () throws(BPFError) in
            let program = try BPFProgram.load(.xdp, instructions: BPFInstruction.returning(1), name: "drop")
            try BPFLink.attach(program, toInterface: index, mode).pin(at: path)
            do throws(BPFError) {
                _ = try BPFLink.attach(first, toInterface: index, mode)
                Issue.record("a second program was attached")
            } catch {
                #expect(error.errno == .busy)
            }
        }
        let link = try BPFLink.open(pinned: path)
        #expect(try link.info().target == .xdp(index: index))
        #expect(try link.info().programID != first.info().id)
        try link.update(to: first)
        #expect(try link.info().programID == first.info().id)
        var netlink = try Netlink(inNamespaceAt: namespace.path)
        let program = try #require(try netlink.interface(index: index)?.xdp)
        #expect(try program.id == first.info().id && program.isGeneric == (mode == .generic))
        try namespace.removeVeth()
        #expect(try link.info().isDead)
        try unpin(path)
    }

    @Test("A link without a pin ends with its handle")
    func unpinned() throws {
        let namespace = try VethNamespace()
        let index = try Self.nearIndex(in: namespace)
        try inNamespace(namespace.path) { () throws(BPFError) in
            let program = try Self.classifier(0)
            for _ in 0..<3 { try Self.attachOnceFree(program, index) }
        }
    }

    /// Attaches and lets go. A process that another test forked just then holds the link before this one until it runs
    /// a program of its own.
    private static func attachOnceFree(_ program: borrowing BPFProgram, _ index: UInt32) throws(BPFError) {
        let deadline = ContinuousClock.now + .seconds(120)
        while true {
            do throws(BPFError) {
                _ = try BPFLink.attach(program, toInterface: index, .ingress)
                return
            } catch {
                guard error.errno == .exists, ContinuousClock.now < deadline else { throw error }
                usleep(1000)
            }
        }
    }

    @Test("A missing interface is an error with the kernel's reason")
    func missingInterface() throws {
        let program = try Self.classifier(0)
        let error = #expect(throws: BPFError.self) {
            _ = try BPFLink.attach(program, toInterface: 0x7fff_fff0, .egress)
        }
        #expect(error?.errno == .noDevice)
    }

    @Test("A cgroup link is made for every hook, pinned, adopted and updated", arguments: SocketHook.allCases)
    func cgroupLink(_ hook: SocketHook) throws {
        let (cgroup, pins) = (try TestCgroup(), try PinDirectory())
        let directory = try FileDescriptor.openDirectory(cgroup.path)
        let path = pins.path + "/link"
        let program = try BPFProgram.load(.socket(hook), instructions: BPFInstruction.returning(1), name: "hook")
        try BPFLink.attach(program, toCgroup: directory, hook).pin(at: path)
        let link = try BPFLink.open(pinned: path)
        guard case .cgroup(let id, let attached) = try link.info().target else {
            Issue.record("not a cgroup link")
            return
        }
        #expect(id != 0)
        #expect(attached == hook)
        let other = try BPFProgram.load(.socket(hook), instructions: BPFInstruction.returning(1), name: "other")
        try link.update(to: other)
        #expect(try link.info().programID == (try other.info().id))
        try link.detach()
    }

    @Test("The link of a removed cgroup says so", .timeLimit(.minutes(10)))
    func removedCgroup() async throws {
        let (cgroup, pins) = (try TestCgroup(), try PinDirectory())
        let directory = try FileDescriptor.openDirectory(cgroup.path)
        let program = try BPFProgram.load(.socket(.connect4), instructions: BPFInstruction.returning(1), name: "hook")
        let link = try BPFLink.attach(program, toCgroup: directory, .connect4)
        try link.pin(at: pins.path + "/link")
        #expect(try !link.info().isDead)
        cgroup.remove()
        // The kernel lets go of it on a work queue.
        while try !link.info().isDead { await Task.yield() }
    }

    @Test("A pin of another kind is refused")
    func otherKinds() throws {
        let pins = try PinDirectory()
        let (mapPath, programPath) = (pins.path + "/map", pins.path + "/program")
        try BPFMap.create(BPFMapShape(type: .hash, keySize: 4, valueSize: 4, maxEntries: 4), name: "m").pin(at: mapPath)
        let program = try Self.classifier(0)
        try program.pin(at: programPath)
        #expect(try BPFProgram.open(pinned: programPath).info() == program.info())
        #expect(throws: BPFError.self) { _ = try BPFLink.open(pinned: mapPath) }
        #expect(throws: BPFError.self) { _ = try BPFProgram.open(pinned: mapPath) }
        let error = #expect(throws: BPFError.self) { _ = try BPFMap.open(pinned: programPath) }
        #expect(error?.detail.contains("bpf-prog") == true)
    }

    @Test("This kernel has every feature that Apus needs", arguments: KernelFeature.allCases)
    func features(_ feature: KernelFeature) throws {
        let status = FeatureProbe.status(of: feature)
        #expect(status.isPresent, "\(status)")
        #expect(status.detail.isEmpty)
        #expect(try KernelVersion.running() >= FeatureProbe.minimumKernel)
    }

    @Test("A program that the verifier refuses carries its log")
    func refusedProgram() throws {
        let error = #expect(throws: BPFError.self) {
            _ = try BPFProgram.load(.classifier, instructions: [Code.exit], name: "broken")
        }
        #expect(error?.verifierTail.contains { $0.contains("R0 !read_ok") } == true, "\(error?.log ?? [])")
    }
}
