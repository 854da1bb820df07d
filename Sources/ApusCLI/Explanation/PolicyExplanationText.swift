internal import AgentAPI

/// `apus policy explain` for people.
struct PolicyExplanationText {
    let console: Console

    /// Ways that are judged alike, as those to the backends of a Service often are, share one explanation.
    func text(_ explanation: PolicyExplanation) -> String {
        var groups: [[PolicyExplanation.Path]] = []
        for path in explanation.paths {
            if let index = groups.firstIndex(where: { Self.isAlike($0.first, path) }) {
                groups[index].append(path)
            } else {
                groups.append([path])
            }
        }
        return groups.map { group($0, isCompared: explanation.agent && explanation.maps) }.joined(separator: "\n")
    }

    private static func isAlike(_ left: PolicyExplanation.Path?, _ right: PolicyExplanation.Path) -> Bool {
        func judgements(_ path: PolicyExplanation.Path) -> [PolicyJudgement?] {
            [path.egress?.agent, path.egress?.maps, path.ingress?.agent, path.ingress?.maps]
        }
        func nodes(_ path: PolicyExplanation.Path) -> [String?] {
            [path.source, path.destination].map { $0.pod == nil ? nil : $0.node ?? "" }
        }
        guard let left else { return false }
        return judgements(left) == judgements(right) && nodes(left) == nodes(right) && left.name == right.name
    }

    private func group(_ paths: [PolicyExplanation.Path], isCompared: Bool) -> String {
        let heads = paths.map { path in
            let service = path.service.map { " (service \($0))" } ?? ""
            let port = [path.ipProtocol, path.port.map(String.init)].compactMap { $0 }.joined(separator: " ")
            let target = path.name?.text(path.destination) ?? path.destination.text
            return "\(path.source.text) -> \(target) \(port)\(service): \(verdict(path))\n"
        }
        guard let path = paths.first else { return "" }
        return heads.joined() + Self.unlearned(paths) + side("egress", "source", path.source, path.egress, isCompared)
            + side("ingress", "destination", path.destination, path.ingress, isCompared)
    }

    /// What is judged in the place of addresses that are still to be learned.
    private static func unlearned(_ paths: [PolicyExplanation.Path]) -> String {
        guard let name = paths.first?.name, !name.learned else { return "" }
        let addresses = Set(paths.map(\.destination.address)).sorted().joined(separator: " and ")
        return
            "  no address is held as \(name.name): judged as one that an answer brings, in no block but those around "
            + "\(addresses)\n"
    }

    private func side(
        _ direction: String, _ role: String, _ end: PolicyPath.End, _ side: PolicyExplanation.Side?, _ isCompared: Bool
    ) -> String {
        guard let side else {
            let reason = end.pod == nil ? "is no pod of this node" : "is judged on its node"
            return "  \(direction): not judged here, the \(role) \(reason)\(end.node.map { " \($0)" } ?? "")\n"
        }
        var text = "  \(direction): "
        if side.allowed == nil {
            text +=
                "not in force, the maps have no endpoint with the address \(end.address)\n    by the agent's state: "
        }
        if let agent = side.agent { text += judgement(agent) }
        if let maps = side.maps, !isCompared || side.differs {
            if side.agent != nil, isCompared { text += "    " + console.paint("the maps differ", .red) + ": " }
            text += judgement(maps)
        }
        if side.agent == nil, isCompared { text += "    the agent knows no pod of this node there\n" }
        return text + (side.missing.map { "    missing: \($0)\n" } ?? "")
    }

    private func judgement(_ judgement: PolicyJudgement) -> String {
        var text = "\(verdict(judgement.allowed)), \(Self.reason(judgement))\n"
        text += judgement.audited.map { "    would be denied by \($0), which \(Self.verb($0)) in audit mode\n" } ?? ""
        for name in judgement.names ?? [] { text += "    the address is held as \(name.name) until \(name.expires)\n" }
        if let patterns = judgement.patterns { text += Self.patterns(patterns) }
        text += judgement.problems.map { "    \($0)\n" }.joined()
        text += judgement.unwritten.map { "    not in force: \($0)\n" }.joined()
        if judgement.tiers.contains(where: { $0.outcome != .notReached }) {
            let tiers = judgement.tiers.map { "\($0.tier.rawValue): \(Self.words($0.outcome))" }
            text += "    \(tiers.joined(separator: "; "))\n"
        }
        if judgement.rules.isEmpty { return text }
        let lines = Table.text(judgement.rules, Self.columns).split(separator: "\n")
        return text + lines.map { "    \($0)\n" }.joined()
    }

    /// Several policies are told as a list.
    private static func verb(_ policies: String) -> String {
        [", NetworkPolicy ", ", FQDNNetworkPolicy "].contains { policies.contains($0) } ? "are" : "is"
    }

    private static func patterns(_ patterns: [PolicyJudgement.Pattern]) -> String {
        if patterns.isEmpty { return "    no rule of the pod's policies has the name: answers teach nothing\n" }
        return patterns.map { "    the name matches \($0.pattern) of \($0.rule)\n" }.joined()
    }

    /// An end elsewhere has policies of its own, or none: what passes here may still be denied there.
    private func verdict(_ path: PolicyExplanation.Path) -> String {
        guard let allowed = path.allowed else { return path.sides.isEmpty ? "not judged here" : "not in force here" }
        return verdict(allowed) + (allowed && path.sides.count == 1 ? " here" : "")
    }

    private func verdict(_ allowed: Bool) -> String {
        allowed ? console.paint("allowed", .green) : console.paint("denied", .red)
    }

    private static func reason(_ judgement: PolicyJudgement) -> String {
        let policies = judgement.policies.joined(separator: ", ")
        let isolating =
            switch judgement.policies.count {
            case 0: "the policy isolates"
            case 1: "\(policies) isolates"
            default: "\(policies) isolate"
            }
        return switch judgement.reason {
        case .ownTraffic: "a pod always reaches itself"
        case .localNode: "its own node always reaches a pod (--received: what came in by an interface instead)"
        case .rule: "by \(judgement.decidingRule?.text ?? "a rule")"
        case .isolation: "no rule matches and \(isolating)"
        case .broken: "\(policies) can't be put in force as written"
        case .closed: "its policy is not in the maps: all that it would judge is dropped"
        case .nothing where judgement.audited != nil: "no policy denies it outside audit mode"
        case .nothing: "no policy says anything about it"
        }
    }

    private static func words(_ outcome: PolicyJudgement.Tier.Outcome) -> String {
        switch outcome {
        case .noRules: "no rules"
        case .noMatch: "no rule matches"
        case .passed: "passed on"
        case .decided: "decided"
        case .isolated: "isolated"
        case .notReached: "not reached"
        }
    }

    private static let columns: [Column<PolicyJudgement.Rule>] = [
        Column("TIER") { $0.tier.rawValue },
        Column("ACTION") { $0.action },
        Column("RULE") { $0.text },
        Column("PEER") { $0.admitsPeer ? "yes" : "no" },
        Column("PORT") { $0.admitsPort ? "yes" : "no" },
        Column("MATCHES") { $0.admits.map { "\($0.peers); \($0.ports)" } ?? "" },
    ]
}
