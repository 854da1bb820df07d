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

    /// The sets that have rules of a policy in the kernel.
    private func sets(of policy: UInt32, _ rig: Rig) -> Set<UInt32> {
        let owners = rig.kernel.entries(of: .policyPeers).map { PolicyTables.owners(ofPeers: $0.key) }
        return Set(owners.filter { $0.policy == policy }.map(\.classID).filter { $0 & DomainProgram.setBit != 0 })
    }

    @Test(
        "A policy judges what its names have in the automaton in force, too, until its own one is",
        arguments: [false, true])
    func pendingAutomaton(isStartedAnew: Bool) throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["x.a.test"])
        rig.program()
        let old = egress(rig)
        let inForce = try #require(rig.kernel.installed).set(matching: "x.a.test".utf8)
        rig.kernel.refusesAutomata = true
        rig.tables.apply(compiler.apply([try policy(["x.a.test", "*.a.test"])]).map(DatapathEdit.policy))
        #expect(rig.program().problems.map(\.reason).contains(.names(FakeKernel.refused)))
        // A pass later the names of sets that nobody wants would be gone.
        for _ in 0..<3 { rig.program(after: 20) }
        if isStartedAnew {
            rig = try rig.restarted()
            var anew = PolicyCompiler(node: "node-1")
            let again = anew.apply([.pod(pod), try policy(["x.a.test", "*.a.test", "*.b.test"])])
            rig.tables.apply(again.map(DatapathEdit.policy))
            rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
            rig.tables.removeStale()
            rig.program()
        }
        #expect(egress(rig) != old)
        #expect(sets(of: egress(rig), rig).contains(inForce))
        rig.kernel.refusesAutomata = false
        for _ in 0..<4 { rig.program(after: 20) }
        let installed = try #require(rig.kernel.installed)
        #expect(installed.set(matching: "x.a.test".utf8) != inForce)
        #expect(sets(of: egress(rig), rig) == Set(installed.sets.map(\.id)))
        let named = rig.kernel.entries(of: .names).compactMap { entry in
            if case .pattern(let set, _)? = NameKey(key: entry.key) { set } else { nil }
        }
        #expect(Set(named) == Set(installed.sets.map(\.id)))
    }

    @Test("What any policy can have is taken over at a restart, names that begin with an underscore, too")
    func takenOver() throws {
        let patterns = [
            try DomainPattern(clusterDomain: "_sip.example.com"),
            try DomainPattern(clusterDomain: "*._tcp.example.com"),
            try DomainPattern(fqdnName: "a.example.com"), try DomainPattern(fqdnPattern: "*.cdn.example"),
            try DomainPattern(fqdnPattern: "*"), try DomainPattern(fqdnPattern: "**"),
        ]
        var compiler = PolicyCompiler(node: "node-1")
        var rig = Rig()
        let rule = FQDNPolicyRule(matches: patterns)
        let policy = PolicyInput.fqdnPolicy(FQDNPolicyObject(namespace: "shop", name: "names", egress: [rule]))
        rig.tables.apply(compiler.apply([.pod(pod), policy]).map(DatapathEdit.policy))
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        #expect(rig.program().isComplete)
        let installed = try #require(rig.kernel.installed)
        let anew = try rig.restarted()
        #expect(Set(installed.automaton.patterns) == Set(patterns))
        #expect(anew.tables.domains.setsInForce == Dictionary(uniqueKeysWithValues: installed.sets))
        #expect(anew.tables.domains.setsInForce == rig.tables.domains.setsInForce)
    }

    /// The patterns whose sets `names` tells of.
    private func namedPatterns(_ rig: Rig) -> Set<String> {
        Set(
            rig.kernel.entries(of: .names).compactMap { entry in
                guard case .pattern? = NameKey(key: entry.key) else { return nil }
                return NameKey.text(entry.value)
            })
    }

    @Test("An automaton counts from when it is in force, and what was before until all names have their sets in it")
    func unfinishedWalk() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["x.a.test"])
        rig.program()
        let first = try #require(rig.kernel.installed)
        // Swapped, but then, say, the names can't be read; and once more, for other patterns.
        rig.kernel.walkFailure = MapError(code: 12, description: "injected")
        for patterns in [["*.a.test", "x.a.test"], ["*.b.test", "x.a.test"]] {
            rig.tables.apply(compiler.apply([try policy(patterns)]).map(DatapathEdit.policy))
            #expect(!rig.program().isComplete)
            for _ in 0..<3 { rig.program(after: 20) }
            let inForce = try #require(rig.kernel.installed)
            #expect(rig.tables.domains.installed?.sets.map(\.id) == inForce.sets.map(\.id))
            // Whatever set a name has, the policy has rules for it, and an agent that starts now knows its patterns.
            let name = inForce.set(matching: "x.a.test".utf8)
            #expect(sets(of: egress(rig), rig).isSuperset(of: [first.set(matching: "x.a.test".utf8), name]))
            #expect(
                namedPatterns(rig).isSuperset(of: patterns.map { $0.hasPrefix("*") ? "pattern/\($0)" : "name/\($0)" }))
        }
        // Those of the second one are told, too: a name may have them as well.
        #expect(namedPatterns(rig).contains("pattern/*.a.test"))
        rig.kernel.walkFailure = nil
        for _ in 0..<4 { rig.program(after: 20) }
        let last = try #require(rig.kernel.installed)
        #expect(sets(of: egress(rig), rig) == Set(last.sets.map(\.id)))
        #expect(namedPatterns(rig) == ["pattern/*.b.test", "name/x.a.test"])
    }

    @Test("What is in force keeps its room from the moment of the swap, though names still have the sets of before")
    func unfinishedKeepsRoom() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = Rig()
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        rig.kernel.walkFailure = FakeKernel.refused
        let first = try policy("zoo", created: "2026-02-01T00:00:00Z", heavy("abcdef"))
        rig.tables.apply(compiler.apply([.pod(pod), first]).map(DatapathEdit.policy))
        #expect(refused(rig.program()) == [])
        let second = try policy("ant", created: "2026-01-01T00:00:00Z", heavy("uvwxyz"))
        rig.tables.apply(compiler.apply([second]).map(DatapathEdit.policy))
        #expect(refused(rig.program()) == ["FQDNNetworkPolicy/shop/ant"])
    }

    @Test("Sets whose hashes are the same keep their ids while one of them comes or goes, also over a restart")
    func collidingSets() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = Rig()
        rig.tables.domains.identifier = { _ in 7 }
        rig.tables.apply(compiler.apply([.pod(pod), try policy(["a.test", "b.test"])]).map(DatapathEdit.policy))
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        rig.program()
        let both = try #require(rig.kernel.installed)
        let (first, second) = (both.set(matching: "a.test".utf8), both.set(matching: "b.test".utf8))
        #expect(first != second)
        let kept = first == 7 | DomainProgram.setBit ? "b.test" : "a.test"
        for patterns in [[kept], [kept, "c.test"], ["0.test", kept]] {
            rig = try rig.restarted()
            rig.tables.domains.identifier = { _ in 7 }
            var anew = PolicyCompiler(node: "node-1")
            rig.tables.apply(anew.apply([.pod(pod), try policy(patterns)]).map(DatapathEdit.policy))
            rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
            rig.tables.removeStale()
            for _ in 0..<4 { rig.program(after: 20) }
            let now = try #require(rig.kernel.installed)
            #expect(now.set(matching: kept.utf8) == both.set(matching: kept.utf8), "\(patterns)")
            #expect(Set(now.sets.map(\.id)).count == patterns.count, "\(patterns)")
        }
    }

    @Test("Nothing is copied before no packet is on its way that may have learned for the old policy alone")
    func copyAfterWait() throws {
        var compiler = PolicyCompiler(node: "node-1")
        var rig = try rig(&compiler, ["*.web.test"])
        rig.program()
        let old = egress(rig)
        rig.tables.apply(compiler.apply([try policy(["*.web.test", "a.*.test"])]).map(DatapathEdit.policy))
        rig.kernel.failsToWait = true
        let report = rig.program()
        #expect(rig.kernel.copies.isEmpty && egress(rig) == old && !report.isComplete)
        rig.kernel.failsToWait = false
        // The wait that ended last before a copy, and what the kernel knew by the time that it began.
        var waited: [UInt64] = []
        rig.kernel.afterWait = { waited.append($0) }
        var waitsBeforeCopy: [UInt64] = []
        rig.kernel.beforeCopy = { _ in waitsBeforeCopy += waited.suffix(1) }
        rig.program()
        #expect(waitsBeforeCopy.count == 1 && rig.kernel.copies == [[old, egress(rig)]] && egress(rig) != old)
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
        let learning = again.tables.policiesLearning(of: EndpointReference(slot: 1, identity: identity))
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
