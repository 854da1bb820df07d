import BPF
import LinuxKernel
import Testing

@Suite struct AttachedProgramsTests {
    @Test("The programs on a side of an interface are listed, whoever attached them", arguments: TrafficSide.allCases)
    func attached(_ side: TrafficSide) throws {
        let namespace = try VethNamespace()
        var netlink = try Netlink(inNamespaceAt: namespace.path)
        let index = try #require(try netlink.interface(named: "near")).index
        try inNamespace(namespace.path) { () throws(BPFError) in
            let program = try BPFProgram.load(
                .classifier, instructions: BPFInstruction.returning(-1), name: "theirs")
            let id = try program.info().id
            let isEmpty = try BPFProgram.attached(toInterface: index, side).isEmpty
            let link = try BPFLink.attach(program, toInterface: index, side)
            let found = try BPFProgram.attached(toInterface: index, side)
            let other = try BPFProgram.attached(toInterface: index, side == .ingress ? .egress : .ingress)
            let name = try BPFProgram.open(id: id).info().name
            try link.detach()
            #expect(isEmpty && found == [id] && other.isEmpty && name == "theirs")
        }
    }

    @Test("An interface that is not there is an error")
    func missingInterface() {
        let error = #expect(throws: BPFError.self) { try BPFProgram.attached(toInterface: 0x7fff_ffff, .ingress) }
        #expect(error?.errno == .noDevice)
    }
}
