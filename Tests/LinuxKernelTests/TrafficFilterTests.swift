import LinuxKernel
import Testing

@Suite struct TrafficFilterTests {
    @Test("Classifiers of both sides are listed, and an interface without any has none")
    func list() throws {
        let lab = try TwoNamespaces()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let host = try #require(try netlink.interface(named: "host0")).index
        try shell("tc -n \(lab.near) qdisc add dev host0 clsact")
        // A classic BPF program of one instruction: match nothing.
        try shell("tc -n \(lab.near) filter add dev host0 ingress bpf bytecode '1,6 0 0 0,'")
        try shell("tc -n \(lab.near) filter add dev host0 egress prio 5 bpf bytecode '1,6 0 0 0,'")
        try shell("tc -n \(lab.near) filter add dev host0 egress prio 6 bpf bytecode '1,6 0 0 0,'")
        let found = try NetworkNamespace.run(at: lab.nearPath) { () throws(KernelError) in
            (try TrafficFilter.list(onInterface: host), try TrafficFilter.list(onInterface: 1))
        }
        #expect(found.0.map(\.isIngress) == [true, false, false])
        #expect(found.0.allSatisfy { $0.kind == "bpf" && $0.name == nil })
        #expect(found.1.isEmpty)
    }
}
