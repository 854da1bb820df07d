internal import ArgumentParser

/// `apus policy`.
struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "The policies of this node's pods: what is in force, and why.",
        discussion: """
            Examples:
              apus policy list
              apus policy get shop/web
              apus policy explain --from shop/cart-0 --to shop/web --port 80
              apus policy lint manifests/
            """,
        subcommands: [List.self, PolicyGetCommand.self, PolicyExplainCommand.self, PolicyLintCommand.self],
        aliases: ["policies"])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists each policy with its rules, in the order in which they are tried.",
            discussion: """
                Pods with the same rules share a policy. Each rule names the object that it comes from.

                Examples:
                  apus policy list
                  apus policy list -o json | jq '.[] | select(.endpoints | index("shop/cart-0"))'
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws {
            let rows = try options.datapath().policies()
            if rows.isEmpty, options.output == .table { return options.console.note(PolicyRow.absence) }
            try options.console.answer(rows, as: options.output) { PolicyRow.text($0) }
        }
    }
}
