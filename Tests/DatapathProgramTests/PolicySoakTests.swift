internal import Addressing
internal import Datapath
internal import DatapathABI
internal import LinuxKernel
internal import NetworkPolicy
internal import Synchronization
internal import TestSupport
internal import Testing

/// A policy that goes back and forth, as the agent programs it, while packets of live connections are judged.
///
/// One task changes the maps, another one puts packets through the programs; they share no mutable state but the maps
/// and the count of changes.
private final class FlippedPolicy: @unchecked Sendable {
    static let clientsPerPod = 250
    let datapath: DatapathFixture
    let steady: Pod
    let flipped: Pod
    let server: Pod
    /// Twice the number of changes in force; odd while one is being made.
    let changes = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    private var compiler = PolicyCompiler(node: "n1")
    private var tables = DatapathTables(node: "n1", startedAt: 1)

    init() throws {
        datapath = try DatapathFixture()
        steady = try datapath.addPod()
        flipped = try datapath.addPod()
        server = try datapath.addPod()
        var inputs: [PolicyInput] = [.namespace("shop", labels: [:])]
        var endpoints: [EndpointEdit] = []
        for (name, pod) in [("steady", steady), ("flipped", flipped), ("server", server)] {
            let key = PodKey(namespace: "shop", name: name)
            inputs.append(
                .pod(PolicyPod(key: key, labels: ["role": name], addresses: pod.addresses, node: "n1")))
            endpoints.append(
                .upsert(
                    EndpointSpec(
                        pod: key, uid: name, addresses: pod.addresses, interface: 100 + pod.slot, mac: pod.mac,
                        hostMAC: pod.hostMAC, canRedirect: true)))
        }
        try apply(inputs + [policy(admitsAll: true)], endpoints)
        for talk in talks { try datapath.establish(talk) }
        _ = datapath.events()
    }

    /// Every connection; those of one pod are always allowed, those of the other in every second state.
    var talks: [Conversation] {
        [steady, flipped].flatMap { client in
            (0..<Self.clientsPerPod).map { number in
                Conversation(
                    client: client, server: server, family: number.isMultiple(of: 2) ? .v4 : .v6,
                    ports: (Port(20_000 + number), 80))
            }
        }
    }

    /// Each state has another list of rules, so that ids, classes and ports all come and go.
    private func policy(admitsAll: Bool) -> PolicyInput {
        func rule(_ role: String, _ ports: [PortRule]) -> PolicyRule {
            PolicyRule(
                peers: [.pods(namespaceSelector: nil, podSelector: LabelSelector(matchLabels: ["role": role]))],
                ports: ports)
        }
        let first = admitsAll ? [rule("flipped", [PortRule(.tcp, .range(80, 90))])] : []
        return .policy(
            NetworkPolicyObject(
                namespace: "shop", name: "server", podSelector: LabelSelector(matchLabels: ["role": "server"]),
                ingress: first + [rule("steady", [PortRule(.tcp, .number(80))])]))
    }

    /// Has the agent's tables write what a change means, in their order.
    private func apply(_ inputs: [PolicyInput], _ pods: [EndpointEdit] = []) throws {
        tables.apply(compiler.apply(inputs).map(DatapathEdit.policy) + pods.map(DatapathEdit.endpoint))
        var writer = FixtureWriter(datapath)
        let report = tables.program(into: &writer, now: KernelClock.monotonic())
        if let problem = report.problems.first { throw problem }
    }

    /// Changes the policy as often as the schedule says.
    func flip(_ schedule: FlipSchedule) async throws -> FlipCount {
        defer { isOver.store(true, ordering: .releasing) }
        return try await schedule.run { number in
            changes.add(1, ordering: .sequentiallyConsistent)
            try apply([policy(admitsAll: number.isMultiple(of: 2))])
            changes.add(1, ordering: .sequentiallyConsistent)
        }
    }
}

@Suite("Live connections while policies change all the time")
struct PolicySoakTests {
    private static let schedule = FlipSchedule(seconds: 5)

    /// What became of packets, and what should not have.
    fileprivate struct Report {
        var steady = 0
        var flippedPassed = 0
        var flippedDropped = 0
        var betweenChanges = 0
        var faults: [String] = []
    }

    @Test("No packet of what stays allowed is dropped, and none of what is denied passes once the change is in force")
    func soak() async throws {
        let policy = try FlippedPolicy()
        async let flipping = withTaskExecutorPreference(OwnThread("policy-changes")) {
            try await policy.flip(Self.schedule)
        }
        let report = try await withTaskExecutorPreference(OwnThread("policy-packets")) {
            try await Self.packets(policy)
        }
        let flips = try await flipping
        print(
            "\(flips); \(report.steady) packets of the steady pod; of the other one \(report.flippedPassed)"
                + " passed, \(report.flippedDropped) were dropped, \(report.betweenChanges) met a change being made")
        #expect(report.faults.isEmpty, "\(report.faults.prefix(5))")
        #expect(report.steady > 0 && report.flippedPassed > 0 && report.flippedDropped > 0)
        #expect(flips.isOnTime && policy.changes.load(ordering: .acquiring) == 2 * flips.made, "\(flips)")
        for talk in policy.talks.prefix(FlippedPolicy.clientsPerPod) {
            #expect(try policy.datapath.connection(of: talk.fromClient(.ack)) != nil)
        }
    }

    private static func packets(_ policy: FlippedPolicy) async throws -> Report {
        var report = Report()
        let frames = policy.talks.map { talk in
            (talk.client, talk.fromClient(.ack).bytes, talk.fromServer(.ack).bytes)
        }
        while !policy.isOver.load(ordering: .acquiring) {
            for (client, request, answer) in frames {
                for (frame, hook) in [(request, Hook.fromPod(client)), (answer, .fromPod(policy.server))] {
                    let before = policy.changes.load(ordering: .sequentiallyConsistent)
                    let passes = try policy.datapath.verdict(frame, on: hook) == Verdict.redirect
                    let after = policy.changes.load(ordering: .sequentiallyConsistent)
                    report.add(isSteady: client == policy.steady, passes, before, after)
                }
            }
        }
        return report
    }
}

extension PolicySoakTests.Report {
    fileprivate mutating func add(isSteady: Bool, _ passes: Bool, _ before: Int, _ after: Int) {
        if isSteady {
            steady += 1
            if !passes { faults.append("dropped what is allowed, at change \(before)") }
        } else if before != after || before % 2 == 1 {
            betweenChanges += 1
        } else if passes == (before / 2).isMultiple(of: 2) {
            if passes { flippedPassed += 1 } else { flippedDropped += 1 }
        } else {
            faults.append("\(passes ? "passed" : "dropped") in change \(before / 2)")
        }
    }
}
