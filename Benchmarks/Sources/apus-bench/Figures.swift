import BenchSupport
import TestSupport

/// The numbers that are no rates.
struct Figures {
    let peers: [Peer]
    let settings: Settings

    /// What depends on the place of the programs' code or of the maps, which each round's peers have others of.
    func ofTheRound() async throws -> [Report.Figure] {
        guard let peer = peers.first(where: { $0.kind == .apusFew }), let agent = peer.agent else { return [] }
        return try await PolicyRules(peer: peer, agent: agent).figures()
            + NameLatencies(settings: settings).figures()
    }

    /// What is taken once: after the last round's rates, when every agent has seen all the traffic.
    func ofTheRun() async throws -> [Report.Figure] {
        var figures: [Report.Figure] = []
        for peer in peers where peer.kind == .apusFew || peer.kind == .apusMany {
            guard let agent = peer.agent else { continue }
            let services = "\(peer.kind.services) Services"
            figures += [
                .init("resident memory of apusd, \(services)", try agent.residentMemory(), "MiB"),
                .init("start of apusd until a Service answers, \(services)", agent.startup / .milliseconds(1), "ms"),
            ]
        }
        guard let peer = peers.first(where: { $0.kind == .apusFew }), let agent = peer.agent else { return figures }
        figures.append(try await cpuPerConnection(peer, agent))
        figures += try Self.programming(bpffs: agent.bpffs + "-cost") + policyChanges + Self.maglevTables
        figures += try await EstablishedPackets(peer: peer, agent: agent).figures()
        figures += try await FlowFigures(node: agent.node, bpffs: agent.bpffs + "-flows", settings: settings).all()
        return try await figures + NameFigures(settings: settings).all() + ScaleFigures(settings: settings).all()
    }

    /// What the agent does with the two events of a connection, in the pinned mode on the other CPU.
    private func cpuPerConnection(_ peer: Peer, _ agent: ApusAgent) async throws -> Report.Figure {
        let metric = Metric(workload: .connections, destination: .pod)
        try await peer.prepare(for: .pinned)
        let before = try agent.cpuSeconds()
        let rate = try await Measurement(peer: peer, metric: metric, mode: .pinned).run(
            seconds: settings.firstTouch, warmup: 0)
        try await Task.sleep(for: .milliseconds(300))  // the collector's longest pause, and more
        let used = try agent.cpuSeconds() - before
        return .init("CPU time of apusd for a connection", used / (rate * settings.firstTouch) * 1e6, "µs")
    }

    /// In a small and in a large cluster: one change must cost the same in both.
    private var policyChanges: [Report.Figure] {
        [20, 500].flatMap { namespaces in
            let cost = PolicyChangeCost.measure(namespaces: namespaces)
            let change = "one changed label among \(cost.pods) pods and \(cost.policies) policies"
            return [
                Report.Figure("\(change), to edits", cost.time / .microseconds(1), "µs"),
                Report.Figure("\(change), pods and addresses looked at", Double(cost.lookedAt), ""),
                Report.Figure("\(change), selectors asked", Double(cost.asked), ""),
                Report.Figure("\(change), entries of maps looked at", Double(cost.entries), ""),
            ]
        }
    }

    static var maglevTables: [Report.Figure] {
        [10, 40, 200].map { count in
            Report.Figure(
                "make a Maglev table of \(MaglevCost.size) places for \(count) endpoints",
                MaglevCost.measure(backends: count) / .microseconds(1), "µs")
        }
    }

    static func programming(bpffs: String) throws -> [Report.Figure] {
        let cost = try ProgrammingCost.measure(
            bpffs: bpffs, services: ServiceCount.many, endpoints: ServiceCount.endpoints)
        let scale = "\(ServiceCount.many) Services × \(ServiceCount.endpoints) endpoints"
        return [
            .init("program \(scale), from objects to maps", cost.all / .milliseconds(1), "ms"),
            .init("program one changed EndpointSlice among them", cost.oneChange / .microseconds(1), "µs"),
        ]
    }
}
