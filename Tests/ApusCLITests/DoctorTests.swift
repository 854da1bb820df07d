@testable import BPF
import LinuxKernel
import Testing

@testable import ApusCLI

@Suite struct DoctorTests {
    static func features(without missing: [KernelFeature] = []) -> [FeatureStatus] {
        KernelFeature.allCases.map { feature in
            FeatureStatus(
                feature: feature, isPresent: !missing.contains(feature),
                detail: missing.contains(feature) ? "not in this kernel" : "")
        }
    }

    static let good = NodeFacts(
        isRoot: true, kernelRelease: "6.12.1-amd64", features: features(), cgroup2Path: "/sys/fs/cgroup",
        directory: "/sys/fs/bpf/apus", pinDirectory: .canBeMade, uplinks: ["eth0"])

    @Test func `it looks at the uplinks that apusd is given by its variable, unless others are named`() async {
        let environment = ["APUS_UPLINK": "eth1,eth2"]
        let outcome = await run("doctor", facts: Self.good, environment: environment)
        #expect(outcome.output.contains(" eth1, eth2\n"), "\(outcome.output)")
        let named = await run("doctor", "--uplink", "eth3", facts: Self.good, environment: environment)
        #expect(named.output.contains(" eth3\n") && !named.output.contains("eth1"), "\(named.output)")
    }

    @Test func `a good node passes`() async {
        let outcome = await run("doctor", facts: Self.good)
        #expect(outcome.code == 0)
        #expect(outcome.output.hasSuffix("\nApus can run here, 0 warnings\n"))
        #expect(outcome.output.contains("ok      tcx links                          since Linux 6.6\n"))
    }

    @Test func `an old kernel fails, with what it lacks and since when that exists`() async {
        var facts = Self.good
        facts.kernelRelease = "5.15.0-91-generic"
        facts.features = Self.features(without: [.tcxLinks, .loops])
        let outcome = await run("doctor", facts: facts)
        #expect(outcome.code == 1)
        #expect(
            outcome.output.contains(
                "5.15.0-91-generic; it lacks tcx links (6.6), bpf_loop (5.17), bpf_set_retval in cgroup programs (5.18)"
            ))
        #expect(outcome.output.contains("failed  tcx links"))
        #expect(outcome.output.contains("not in this kernel; since Linux 6.6"))
        #expect(outcome.output.hasSuffix("Apus can't run here: 3 checks failed, 0 warnings\n"))
    }

    @Test func `what keeps packets from other nodes is told`() async {
        var facts = Self.good
        #expect(!(await run("doctor", facts: facts)).output.contains("reverse paths"))
        facts.overlays = ["apus-vxlan"]
        #expect((await run("doctor", facts: facts)).output.contains("not filtered strictly"))
        facts.strictInterfaces = ["eth0"]
        facts.forwards = (true, false)
        let output = (await run("doctor", facts: facts)).output
        #expect(output.contains("filtered strictly on eth0") && output.contains("off for IPv6"))
        #expect(output.hasSuffix("\nApus can run here, 2 warnings\n"))
    }

    struct Requirement: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let break_: @Sendable (inout NodeFacts) -> Void
        let advice: String
    }

    @Test(arguments: [
        Requirement(testDescription: "root", break_: { $0.isRoot = false }, advice: "run as root"),
        Requirement(testDescription: "cgroup", break_: { $0.cgroup2Path = nil }, advice: "mount -t cgroup2"),
        Requirement(
            testDescription: "bpf", break_: { $0.pinDirectory = .notOnBPFFileSystem }, advice: "mount -t bpf bpf"),
        Requirement(
            testDescription: "path", break_: { $0.pinDirectory = .unknown("statfs /x: Permission denied") },
            advice: "run as root"),
    ]) func `what is missing fails with advice`(_ requirement: Requirement) async {
        var facts = Self.good
        requirement.break_(&facts)
        let outcome = await run("doctor", facts: facts)
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("\n          -> ") && outcome.output.contains(requirement.advice))
    }

    @Test func `other software is a warning for each, and no failure`() async {
        var facts = Self.good
        facts.foreignPrograms = [.init(interface: "eth0", side: .ingress, kind: "tcx", name: "their_prog")]
        facts.traces = [
            .init(owner: "kube-proxy", place: "iptables chain KUBE-SERVICES"),
            .init(owner: "kube-proxy", place: "process kube-proxy"),
            .init(owner: "Cilium", place: "/sys/fs/bpf/cilium"),
        ]
        facts.gaps = ["iptables was not looked at: no iptables-save here, or no right to it"]
        let outcome = await run("doctor", facts: facts)
        #expect(outcome.code == 0)
        #expect(outcome.output.contains("tcx their_prog on eth0 ingress\n"))
        #expect(outcome.output.contains("kube-proxy: iptables chain KUBE-SERVICES, process kube-proxy\n"))
        #expect(outcome.output.contains("Cilium: /sys/fs/bpf/cilium\n"))
        #expect(outcome.output.hasSuffix("Apus can run here, 4 warnings\n"))
    }

    @Test func `chains of kubelet are not kube-proxy's`() {
        let saved = """
            # Generated by iptables-save
            *nat
            :PREROUTING ACCEPT [0:0]
            :KUBE-KUBELET-CANARY - [0:0]
            :cali-PREROUTING - [0:0]
            :cali-POSTROUTING - [0:0]
            -A PREROUTING -j cali-PREROUTING
            COMMIT
            """
        let chains = FirewallTables.chains(in: saved)
        #expect(chains == ["PREROUTING", "KUBE-KUBELET-CANARY", "cali-PREROUTING", "cali-POSTROUTING"])
        #expect(
            OtherSoftware.traces(ofChains: chains)
                == [NodeFacts.Trace(owner: "Calico", place: "iptables chain cali-PREROUTING")])
        #expect(
            OtherSoftware.traces(ofTables: FirewallTables.tables(in: "table ip kube-proxy\ntable ip6 kube-proxy\n"))
                == [NodeFacts.Trace(owner: "kube-proxy", place: "nftables table kube-proxy")])
    }

    @Test func `this machine's facts can be gathered`() {
        let facts = HostProbe().facts(directory: "/sys/fs/bpf/apus-none", uplinks: ["lo"])
        #expect(KernelVersion(facts.kernelRelease) != nil)
        #expect(facts.features.count == KernelFeature.allCases.count)
        #expect(facts.uplinks == ["lo"])
        #expect(facts.foreignPrograms.isEmpty)
    }
}
