internal import Addressing
internal import Kubernetes
internal import NetworkPolicy

extension LintedPolicy {
    // MARK: What the policy alone tells

    /// What the policy looks like: lists and rules that may say more, or less, than was meant.
    var shapeRemarks: [Remark] {
        let empty = isClusterPolicy && rules.isEmpty
        let own = empty ? [Remark(code: .noRules, field: "spec", message: "has no rules, and so no effect")] : []
        let types = ignored.map { direction in
            let type = direction == "ingress" ? "Ingress" : "Egress"
            return Remark(
                code: .ignoredRules, field: "spec.\(direction)",
                message: "is not in force: spec.policyTypes does not have \(type); add it or delete the rules")
        }
        return own + types + auditRemarks + rules.flatMap(\.shapeRemarks)
    }

    private var auditRemarks: [Remark] {
        if !isAudited { return [] }
        let message = "the policy is in audit mode: what it would deny passes and is reported"
        return denies
            ? [Remark(code: .auditMode, field: Self.auditField, message: message)]
            : [Remark(code: .idleAudit, field: Self.auditField, message: "has no effect: the policy denies nothing")]
    }

    static let auditField = "metadata.annotations[\"\(ObjectMeta.auditAnnotation)\"]"

    // MARK: What the other manifests tell

    /// Selectors that match nothing, and ports that nobody has.
    func matchRemarks(_ world: LintWorld) -> [Remark] {
        guard world.knowsPods else { return rules.flatMap { nodeRemarks($0, world) } }
        let subjects = world.pods(subject)
        let own =
            subjects.isEmpty
            ? [Remark(code: .selectsNoPod, field: subjectField, message: "selects no Pod of the manifests")] : []
        return own
            + rules.flatMap { rule in
                peerRemarks(rule, world) + nodeRemarks(rule, world) + portRemarks(rule, subjects, world)
            }
    }

    private func peerRemarks(_ rule: Rule, _ world: LintWorld) -> [Remark] {
        (rule.peers ?? []).enumerated().compactMap { index, peer in
            guard case .pods(let pods) = peer, world.pods(pods).isEmpty else { return nil }
            let what = world.hasNamespace(in: pods.namespaces) ? "Pod" : "Namespace"
            return Remark(
                code: .matchesNoPeer, field: "\(rule.peersField)[\(index)]",
                message: "matches no \(what) of the manifests")
        }
    }

    private func nodeRemarks(_ rule: Rule, _ world: LintWorld) -> [Remark] {
        (rule.peers ?? []).enumerated().compactMap { index, peer in
            guard world.knowsNodes, case .nodes(let selector) = peer,
                !world.nodes.contains(where: { selector.matches($0.meta.labels) })
            else { return nil }
            return Remark(
                code: .matchesNoPeer, field: "\(rule.peersField)[\(index)].nodes",
                message: "matches no Node of the manifests")
        }
    }

    /// Ports are those of the pods that receive: the subject's in ingress, the peers' in egress.
    private func portRemarks(_ rule: Rule, _ subjects: [Pod], _ world: LintWorld) -> [Remark] {
        let receivers = rule.isIngress ? subjects : peerPods(rule, world)
        if receivers.isEmpty { return [] }
        return rule.namedPorts.compactMap { wanted in
            let isThere = receivers.contains { pod in
                pod.ports.contains { $0.name == wanted.name && wanted.protocols.contains($0.ipProtocol) }
            }
            if isThere { return nil }
            let kind = wanted.protocols.count == 1 ? wanted.protocols.map { "\($0) " }.joined() : ""
            let whose = rule.isIngress ? "that the policy selects" : "that the peers match"
            return Remark(
                code: .unknownNamedPort, field: wanted.field,
                message: "no Pod \(whose) has a \(kind)port named \(wanted.name): the rule admits nothing by it")
        }
    }

    private func peerPods(_ rule: Rule, _ world: LintWorld) -> [Pod] {
        guard let peers = rule.peers, !peers.isEmpty else { return world.pods }
        return peers.flatMap { peer in
            switch peer {
            case .pods(let pods): world.pods(pods)
            // Any pod may be behind an address.
            case .outside: world.pods
            case .nodes: [] as [Pod]
            }
        }
    }
}

extension LintedPolicy.Rule {
    fileprivate var shapeRemarks: [LintedPolicy.Remark] {
        var remarks: [LintedPolicy.Remark] = []
        let way = isIngress ? "from" : "to"
        if let peers, peers.isEmpty {
            remarks.append(
                LintedPolicy.Remark(
                    code: .emptyList, field: peersField,
                    message: "is empty, which admits every peer: leave \(way) away to say so, or name the peers"))
        }
        if emptyPortList {
            remarks.append(
                LintedPolicy.Remark(
                    code: .emptyList, field: "\(field).ports",
                    message: "is empty, which admits every port: leave ports away to say so, or name them"))
        }
        if peers == nil, !hasPorts, !emptyPortList {
            remarks.append(
                LintedPolicy.Remark(
                    code: .admitsEverything, field: field,
                    message: "has no \(way) and no ports: it admits every peer on every port"))
        }
        return remarks
    }
}
