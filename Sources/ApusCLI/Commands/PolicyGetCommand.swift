internal import AgentAPI
internal import ArgumentParser

/// `apus policy get`.
struct PolicyGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one policy in full: an object, or what was compiled.",
        discussion: """
            A name shows every policy object of that name with its rules, the pods of this node that it selects, and \
            whether it is in force there. An id, as `apus policy list` has them, shows the compiled policy. While apusd \
            is stopped the maps tell what they hold: rules by their places, without peers, ports and priority.

            Examples:
              apus policy get shop/web-to-db
              apus policy get no-visitors
              apus policy get 24f4839c
              apus policy get shop/web-to-db -o json | jq '.objects[].in_force'
            """)

    @Argument(help: "NAME, NAMESPACE/NAME, or the id of a compiled policy.", transform: Self.selection)
    var policy: PolicySelection

    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let details = await askAgent()
        let view: PolicyView
        if let details {
            let datapath = openMaps()
            view = PolicyView(
                details, policy, maps: try datapath?.policies(), endpoints: try datapath?.endpoints())
        } else {
            view = PolicyView(policy, maps: try options.datapath().policies())
        }
        if view.isEmpty { throw CommandError(Self.unknown(policy, details)) }
        let text = PolicyViewText(console: options.console)
        try options.console.answer(view, as: options.output, table: text.text)
    }

    /// Nil when the agent does not answer.
    private func askAgent() async -> PolicyDetails? {
        do throws(AgentError) {
            return try await options.agent.policies(policy)
        } catch {
            options.console.note("apus: \(error); this is what the maps tell")
            return nil
        }
    }

    /// Nil when they can't be read: the agent has answered.
    private func openMaps() -> (any DatapathView)? {
        do {
            return try options.datapath()
        } catch {
            options.console.note("apus: \(error); this is what the agent tells")
            return nil
        }
    }

    private static func selection(_ text: String) throws -> PolicySelection {
        guard let selection = PolicySelection(text) else {
            throw ValidationError("a policy is NAME, NAMESPACE/NAME or an id of eight hexadecimal digits")
        }
        return selection
    }

    private static func unknown(_ policy: PolicySelection, _ details: PolicyDetails?) -> String {
        let name = [policy.namespace, policy.name].compactMap { $0 }.joined(separator: "/")
        if let refused = details?.refused, !refused.isEmpty {
            return "no version of \(name) is in force, as it is wrong: " + refused.joined(separator: "; ")
        }
        return details != nil
            ? "there is no policy \(name)"
            : "there is no policy \(name) in the maps: they hold only those that judge pods of this node by a rule"
    }
}

/// `apus policy get` for people.
struct PolicyViewText {
    let console: Console

    func text(_ view: PolicyView) -> String {
        (view.objects.map(object) + (view.compiled.map { [PolicyRow.text([$0])] } ?? [])).joined(separator: "\n")
    }

    private func object(_ object: PolicyView.Object) -> String {
        let endpoints = object.endpoints.isEmpty ? "none" : object.endpoints.joined(separator: ", ")
        var pairs = [("tier", object.tier + (object.priority.map { ", priority \($0)" } ?? ""))]
        if let subject = object.subject { pairs.append(("selects", subject)) }
        if let isolates = object.isolates {
            pairs.append(("isolates", isolates.isEmpty ? "no direction" : isolates.joined(separator: ", ")))
        }
        if let audited = object.auditedBy, !audited.isEmpty {
            let causes = audited.joined(separator: ", ")
            pairs.append(("audited by", "\(causes): what it would deny passes and is reported"))
        }
        pairs.append(("endpoints", endpoints))
        if !object.compiled.isEmpty { pairs.append(("compiled to", object.compiled.joined(separator: ", "))) }
        for other in object.ignored ?? [] { pairs.append(("also in", other)) }
        pairs.append(("in force", inForce(object)))
        let causes = ((object.rejected ?? []) + object.problems + object.pending).map { "    \($0)\n" }.joined()
        let head = "\(object.policy)\n" + Table.pairs(pairs.map { (name: $0.0, value: $0.1) }, indent: 2) + causes
        if object.rules.isEmpty { return head + "  no rules\n" }
        return head + Table.text(object.rules, Self.columns).split(separator: "\n").map { "  \($0)\n" }.joined()
    }

    private func inForce(_ object: PolicyView.Object) -> String {
        if object.rejected?.isEmpty == false {
            let isInForce = object.problems.isEmpty && object.pending.isEmpty
            let version = isInForce ? "the last good version, which is shown" : "not even the last good version"
            return console.paint("no, \(version): the newest one is wrong", .red)
        }
        switch object.inForce {
        case true? where object.endpoints.isEmpty: return "no pod of this node is concerned"
        case true?: return console.paint("yes", .green) + (object.subject == nil ? ", as the maps have it" : "")
        case false? where object.pending.isEmpty: return console.paint("not as it is written", .red)
        case false?: return console.paint("no", .red)
        case nil: return "not known"
        }
    }

    private static let columns: [Column<PolicyDetails.Rule>] = [
        Column("RULE") { $0.rule + ($0.ruleName.map { " \($0.debugDescription)" } ?? "") },
        Column("ACTION") { $0.action },
        Column("PEERS") { $0.peers ?? "" },
        Column("PORTS") { $0.ports ?? "" },
    ]
}
