import Addressing
import DatapathABI
import DomainNames
import NetworkPolicy
import Testing

@testable import Datapath

@Suite("Names in policies become classes, an automaton, and what was learned before")
struct DomainTablesTests {
    private let pod = PolicyPod(
        key: PodKey(namespace: "shop", name: "p1"), labels: ["app": "web"], addresses: [IPAddress(v4: 0x0a01_0001)],
        node: "node-1", isHostNetwork: false, namedPorts: [], isTerminated: false)

    private func policy(_ patterns: [String]) throws -> PolicyInput {
        let matches = try patterns.map { try DomainPattern(fqdnPattern: $0) }
        return .fqdnPolicy(
            FQDNPolicyObject(namespace: "shop", name: "names", egress: [FQDNPolicyRule(matches: matches)]))
    }

    /// Tables with one pod, under a policy.
    private func rig(_ compiler: inout PolicyCompiler, _ patterns: [String]) throws -> Rig {
        var rig = Rig()
        rig.tables.apply(compiler.apply([.pod(pod), try policy(patterns)]).map(DatapathEdit.policy))
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        return rig
    }

    private func egress(_ rig: Rig) -> UInt32 {
        rig.kernel.endpoint(1)?.egress_policy ?? 0
    }

    @Test("The sets of an automaton have rules before it is in force, and names of their patterns")
    func install() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["*.web.test", "a.web.test"])
        var sawEntries = false
        rig.kernel.afterWrite = { kernel in
            let sets = kernel.entries(of: .policyPeers).filter { PolicyTables.isOfSet($0.key) }
            if kernel.installed == nil, !sets.isEmpty { sawEntries = true }
        }
        #expect(rig.program().isComplete)
        let program = try #require(rig.kernel.installed)
        #expect(sawEntries)
        let sets = Set(rig.kernel.entries(of: .policyPeers).map { PolicyTables.owners(ofPeers: $0.key).classID })
        for name in ["a.web.test", "b.web.test"] { #expect(sets.contains(program.set(matching: name.utf8)), "\(name)") }
        #expect(program.set(matching: "web.test".utf8) == 0)
        let texts = rig.kernel.entries(of: .names).map { NameKey.text($0.value) }
        #expect(texts.contains("pattern/*.web.test") && texts.contains("name/a.web.test"))
    }

    @Test("What was learned is copied before a pod gets another policy, and old sets go after")
    func change() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["*.web.test"])
        rig.program()
        let old = egress(rig)
        let before = try #require(rig.kernel.installed).set(matching: "a.web.test".utf8)
        rig.tables.apply(compiler.apply([try policy(["*.web.test", "a.*.test"])]).map(DatapathEdit.policy))
        rig.program()
        #expect(rig.kernel.copies == [[old, egress(rig)]] && old != egress(rig))
        #expect(rig.kernel.installed?.set(matching: "b.web.test".utf8) == before)
        #expect(rig.kernel.installed?.set(matching: "a.web.test".utf8) != before)
        rig.tables.apply(
            compiler.apply([.fqdnPolicyRemoved(namespace: "shop", name: "names")]).map(DatapathEdit.policy))
        for _ in 0..<4 {
            rig.program()
            rig.now += 20
        }
        #expect(rig.kernel.installed == nil)
        #expect(!rig.kernel.entries(of: .policyPeers).contains { PolicyTables.isOfSet($0.key) })
    }

    @Test("An automaton that the kernel refuses is told, and tried again")
    func refused() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["*.web.test"])
        rig.kernel.failsNames = { true }
        #expect(rig.program().problems.map(\.reason).contains(.names(FakeKernel.refused)))
        rig.kernel.failsNames = { false }
        #expect(rig.program().isComplete && rig.kernel.installed != nil)
    }

    @Test("A pattern that finds no room is told of its object, and the others are in force")
    func refusedPattern() throws {
        var compiler = PolicyCompiler(node: "node-1")
        let letters = Array("abcdefghijklmnopqr")
        let many = letters.map { "*\($0)*\($0)*" }
        var rig = try rig(&compiler, many + ["www.web.test"])
        let report = rig.program()
        let refusals = report.problems.filter { if case .patternRefused = $0.reason { true } else { false } }
        #expect(!refusals.isEmpty && refusals.allSatisfy { $0.object.contains("shop/names") })
        #expect(rig.kernel.installed?.set(matching: "www.web.test".utf8) != 0)
    }

    @Test("A refusal names the field that has the pattern, and the maps keep the field that a name is written in")
    func fields() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = Rig()
        let texts = "abcdefghijklmnopqr".map { "*\($0)*\($0)*" } + ["www.web.test"]
        let patterns = try texts.map { try DomainPattern(fqdnPattern: $0) }
        let fields = zip(patterns, patterns.indices).map { ($0, "spec.egress[0].matches[\($1)].pattern") }
        let rule = FQDNPolicyRule(matches: patterns, fields: Dictionary(uniqueKeysWithValues: fields))
        let policy = PolicyInput.fqdnPolicy(FQDNPolicyObject(namespace: "shop", name: "names", egress: [rule]))
        rig.tables.apply(compiler.apply([.pod(pod), policy]).map(DatapathEdit.policy))
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        let messages = rig.program().problems.map(\.description)
        #expect(messages.contains { $0.contains("spec.egress[0].matches[") && $0.contains(".pattern: pattern *") })
        let uses = rig.kernel.entries(of: .names).filter {
            if case .domains? = NameKey(key: $0.key) { true } else { false }
        }.flatMap { DomainUse.list(NameKey.text($0.value)) }
        #expect(uses.contains { $0.pattern == PatternText(field: "pattern", text: "www.web.test") })
        #expect(PatternText(field: "pattern", text: "a.b").isSamePattern(as: PatternText(field: "name", text: "a.b")))
        let star = PatternText(field: "pattern", text: "*.b")
        #expect(!star.isSamePattern(as: PatternText(field: "domainNames", text: "*.b")))
    }

    @Test("While policies are kept that can't be read, new names wait, which is told of each object that has some")
    func waiting() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["*.web.test"])
        rig.program()
        let before = try #require(rig.kernel.installed)
        var again = Rig()
        again.kernel = rig.kernel
        try again.tables.adopt(again.kernel)
        // The policy of the pod can't be read; another one is new.
        var anew = PolicyCompiler(node: "node-1")
        let new = try policy("new", created: nil, ["*.other.test"])
        again.tables.apply(anew.apply([.pod(pod), new]).map(DatapathEdit.policy))
        again.tables.apply([.endpoint(.upsert(endpoint(1)))])
        again.tables.keepStale(holdingPolicies: true)
        let report = again.program()
        #expect(report.problems.map(\.reason).contains(.namesWait))
        #expect(report.problems.filter { $0.reason == .namesWait }.map(\.object) == ["FQDNNetworkPolicy/shop/new"])
        #expect(again.kernel.installed?.set(matching: "a.web.test".utf8) == before.set(matching: "a.web.test".utf8))
        // What the agent learns itself it learns for the policy that is kept.
        let identity = try #require(again.tables.endpoints.records[1]?.actual?.identity)
        let learning = again.tables.policiesLearning(slot: 1, identity: identity)
        #expect(learning.contains(egress(rig)))
        again.tables.removeStale()
        for _ in 0..<4 {
            again.program()
            again.now += 20
        }
        #expect(!again.program().problems.map(\.reason).contains(.namesWait))
        #expect(again.kernel.installed?.set(matching: "a.other.test".utf8) ?? 0 != 0)
    }

    /// Patterns that fit alone, but not together with each other.
    private func heavy(_ letters: String) -> [String] { letters.map { "*\($0)*\($0)*" } }

    private func policy(_ name: String, created: String?, _ patterns: [String]) throws -> PolicyInput {
        let matches = try patterns.map { try DomainPattern(fqdnPattern: $0) }
        return .fqdnPolicy(
            FQDNPolicyObject(
                namespace: "shop", name: name, egress: [FQDNPolicyRule(matches: matches)], created: created))
    }

    private func refused(_ report: ProgrammingReport) -> Set<String> {
        Set(report.problems.compactMap { if case .patternRefused = $0.reason { $0.object } else { nil } })
    }

    @Test("What is in force stays so, and the policy that comes later is refused, whatever its age and patterns are")
    func inForceStays() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = Rig()
        let first = try policy("zoo", created: "2026-02-01T00:00:00Z", heavy("abcdef"))
        rig.tables.apply(compiler.apply([.pod(pod), first]).map(DatapathEdit.policy))
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        #expect(refused(rig.program()) == [])
        let second = try policy("ant", created: "2026-01-01T00:00:00Z", heavy("uvwxyz"))
        rig.tables.apply(compiler.apply([second]).map(DatapathEdit.policy))
        #expect(refused(rig.program()) == ["FQDNNetworkPolicy/shop/ant"])
        let patterns = try #require(rig.kernel.installed).automaton.patterns
        #expect(try heavy("abcdef").allSatisfy { patterns.contains(try DomainPattern(fqdnPattern: $0)) })
    }

    @Test("An agent that starts anew leaves in force what is, and of what is not the older object comes first")
    func startsAnew() throws {
        for isTakenOver in [true, false] {
            var compiler = PolicyCompiler(node: "node-1")
            var rig = Rig()
            let young = try policy("ant", created: "2026-02-01T00:00:00Z", heavy("abcdef"))
            rig.tables.apply(compiler.apply([.pod(pod), young]).map(DatapathEdit.policy))
            rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
            rig.program()
            var again = Rig()
            if isTakenOver {
                again.kernel = rig.kernel
                try again.tables.adopt(again.kernel)
            }
            let old = try policy("zoo", created: "2026-01-01T00:00:00Z", heavy("uvwxyz"))
            var anew = PolicyCompiler(node: "node-1")
            again.tables.apply(anew.apply([.pod(pod), young, old]).map(DatapathEdit.policy))
            again.tables.apply([.endpoint(.upsert(endpoint(1)))])
            if isTakenOver { again.tables.removeStale() }
            #expect(refused(again.program()) == ["FQDNNetworkPolicy/shop/\(isTakenOver ? "zoo" : "ant")"])
        }
    }
}
