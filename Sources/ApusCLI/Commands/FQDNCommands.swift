internal import ArgumentParser

/// `apus fqdn`.
struct FQDNCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fqdn", abstract: "Domain names in policies, and the addresses that were learned under them.",
        discussion: """
            Examples:
              apus fqdn list
              apus fqdn explain api.example.com
            """,
        subcommands: [List.self, Explain.self])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the patterns of all policies with the names and addresses that they admit now.",
            discussion: """
                Pods that share a policy share what they learned. EXPIRES is the time for which new connections to the \
                last of the addresses are admitted; ended: only those that are open already.

                Examples:
                  apus fqdn list
                  apus fqdn list -o json | jq '.[] | select(.name == "api.example.com") | .addresses'
                  apus fqdn list -o json | jq -r '.[] | select(.name == null) | .pattern'
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws { try options.console.list(try options.datapath().domains(), as: options.output) }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tells which patterns of which policies match a name, and what was learned under it.",
            discussion: """
                The name goes through the automaton that the kernel uses. IN FORCE: no: a pattern that was refused \
                or waits matches it, and admits nothing. ADMITTED: no: an address is held, as a pattern of another \
                policy matches the name, but the policy has none. The name that a pod asks for counts, not those that \
                aliases lead to.

                Exit codes: 0 a pattern matches, in force or not; 1 none does; 2 no answer.

                Examples:
                  apus fqdn explain api.example.com
                  apus fqdn explain api.example.com -o json | jq '.matches[].endpoints'
                """)

        @Argument(help: "The name: case and a trailing dot change nothing.")
        var name: String

        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if normal.isEmpty || normal.utf8.count > 253 { throw ValidationError("a name has 1 to 253 characters") }
        }

        /// As names are held: only letters of ASCII have two cases (RFC 4343).
        private var normal: String {
            let folded = name.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
            let name = String(decoding: folded, as: UTF8.self)
            return name.hasSuffix(".") ? String(name.dropLast()) : name
        }

        func run() throws {
            let explanation = try options.datapath().domain(named: normal)
            try options.console.answer(explanation, as: options.output) { $0.text }
            if explanation.matches.isEmpty { throw ExitCode.checkFailed }
        }
    }
}
