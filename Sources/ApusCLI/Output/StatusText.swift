internal import AgentAPI

/// `apus status` for people.
struct StatusText {
    let console: Console

    func text(_ answer: StatusAnswer) -> String {
        agent(answer.agent) + "\n" + (answer.datapath.map(datapath) ?? "data path: no maps\n")
    }

    private func agent(_ agent: StatusAnswer.Agent) -> String {
        guard let status = agent.status else {
            return agent.running
                ? "agent: \(console.paint("no answer", .yellow)) (\(agent.error ?? ""))\n"
                : "agent: \(console.paint("not running", .yellow))\n"
        }
        var text = "agent: \(console.paint("running", .green))\n" + Table.pairs(Self.pairs(status, agent), indent: 2)
        if !status.diagnostics.isEmpty {
            text += "  diagnostics:\n"
            text += status.diagnostics.map { "    \($0.object): \($0.message)\(Self.place($0))\n" }.joined()
        }
        return text
    }

    private static func place(_ diagnostic: AgentDiagnostic) -> String {
        diagnostic.location.map { " (\($0))" } ?? ""
    }

    private static func pairs(_ status: AgentStatus, _ agent: StatusAnswer.Agent) -> [(name: String, value: String)] {
        let programmed = status.programmed
        let applying = status.applying
        let evidence = status.evidence
        let writes = applying.lastError.map { "; last error: \($0)" } ?? ""
        return [
            ("version", status.version), ("node", status.node),
            ("uptime", agent.uptime.map { Quantity.duration($0 * 1_000_000_000) } ?? "unknown"),
            ("source", status.origin.map(origin) ?? "unknown"),
            ("objects", status.sources.map(source).joined(separator: ", ")),
            ("endpoints", "\(programmed.endpoints), \(programmed.attached) attached"),
            (
                "services",
                "\(programmed.services) with \(Quantity.count(programmed.frontends, "frontend")), "
                    + Quantity.count(programmed.backends, "backend")
            ),
            ("policies", "\(programmed.policies)"), ("delivery", status.redirectMode),
            ("routing", status.routing.map(routing) ?? "unknown"), ("xdp", status.xdp.map(xdp) ?? "unknown"),
            (
                "writes",
                "\(applying.edits), \(applying.errors) failed, \(applying.pendingRetries) to be tried again" + writes
            ),
            (
                "flows",
                "\(evidence.records) seen, \(evidence.stored) stored, "
                    + "\(evidence.lostInKernel) lost in the kernel, "
                    + (evidence.lostInAgent.map { $0 > 0 ? "\($0) in the agent, " : "" } ?? "")
                    + "\(evidence.lostByFollowers) by slow followers"
                    + (evidence.detail.map { ", detail \($0)" } ?? "")
            ),
        ]
    }

    private static func origin(_ origin: AgentStatus.Origin) -> String {
        let problem = origin.failingSince.map { ", failing since \($0): \(origin.error ?? "no reason known")" }
        let connected = origin.connected == true ? ", connected" : ""
        let kept = origin.synced ? "" : "; not all read yet, what an earlier start left in force stays"
        return origin.name + (problem ?? connected) + kept
    }

    private static func routing(_ routing: AgentStatus.Routing) -> String {
        if routing.mode == "native" { return routing.mode }
        let device = routing.device.map { " by \($0)" + (routing.mtu.map { " (MTU \($0))" } ?? "") } ?? ""
        let nodes = "\(routing.routed) of \(Quantity.count(routing.nodes, "other node"))"
        return "\(routing.mode)\(device), \(nodes) with \(routing.entries) entries"
    }

    private static func xdp(_ uplinks: [AgentStatus.XDP]) -> String {
        let texts = uplinks.map { "\($0.uplink) \($0.mode ?? "off" + ($0.reason.map { " (\($0))" } ?? ""))" }
        return texts.isEmpty ? "no uplink" : texts.joined(separator: ", ")
    }

    private static func source(_ source: AgentStatus.Source) -> String {
        let state = source.synced ? "" : " (not synced)"
        return "\(source.kind) \(source.objects)\(state)\(source.error.map { " (error: \($0))" } ?? "")"
    }

    private func datapath(_ status: DatapathStatus) -> String {
        let frontends = Quantity.count(status.frontends, "frontend")
        let text = Table.pairs(
            [
                ("node", status.node), ("since", "\(status.started), ABI \(status.abiVersion)"),
                ("endpoints", "\(status.endpoints)"),
                ("services", "\(status.services) with \(frontends), \(Quantity.count(status.backends, "backend"))"),
                ("policies", "\(status.policies)"), ("connections", Self.fill(status.connections)),
                ("half open", Self.fill(status.halfOpen)),
                (
                    "events",
                    "\(status.events.submitted) submitted, \(status.events.lost) lost"
                        + (status.events.audited == 0 ? "" : ", \(status.events.audited) openings audited")
                ),
                ("drops", status.drops.isEmpty ? "none" : ""),
            ], indent: 2)
        let drops = status.drops.isEmpty ? "" : Table.text(status.drops, Self.dropColumns)
        return "data path:\n" + text + drops.split(separator: "\n").map { "    \($0)\n" }.joined()
    }

    private static func fill(_ fill: DatapathStatus.Fill) -> String {
        "\(fill.used) of \(fill.capacity) (\(fill.capacity == 0 ? 0 : fill.used * 100 / fill.capacity) %)"
    }

    private static let dropColumns: [Column<DatapathStatus.Drop>] = [
        Column("REASON") { $0.reason },
        Column("DIRECTION") { $0.direction },
        Column("PACKETS", number: true) { "\($0.packets)" },
        Column("BYTES", number: true) { Quantity.size($0.bytes) },
    ]
}
