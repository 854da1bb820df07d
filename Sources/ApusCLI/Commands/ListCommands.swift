internal import ArgumentParser

/// `apus endpoint`.
struct EndpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoint", abstract: "The pods of this node.",
        discussion: """
            Examples:
              apus endpoint list
            """,
        subcommands: [List.self], aliases: ["endpoints", "ep"])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the pods that the data path knows, with their links and policies.",
            discussion: """
                INGRESS and EGRESS name the policy that judges a direction, see `apus policy list`; open: none does;
                closed: it is not in force, and everything is dropped (`apus status` says why).

                Examples:
                  apus endpoint list
                  apus endpoint list -o json | jq -r '.[] | select(.ingress_policy == null) | .pod'
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws { try options.console.list(try options.datapath().endpoints(), as: options.output) }
    }
}

/// `apus connection`.
struct ConnectionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connection", abstract: "The connections of this node's pods.",
        discussion: """
            Examples:
              apus connection list --last 20
            """,
        subcommands: [List.self], aliases: ["connections", "conn"])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the connections that the data path holds, the last used first.",
            discussion: """
                OUT and BACK are the bytes from and to the end that opened the connection.

                Examples:
                  apus connection list
                  apus connection list --last 20
                  apus connection list -o json | jq '.[] | select(.state == "half_open")'
                """)

        @OptionGroup var options: GlobalOptions

        @Option(help: "Show only so many.")
        var last: Int?

        func validate() throws {
            if let last, last < 0 { throw ValidationError("--last must not be negative") }
        }

        func run() throws {
            let rows = try options.datapath().connections().sorted { $0.seenAgo < $1.seenAgo }
            try options.console.list(last.map { Array(rows.prefix($0)) } ?? rows, as: options.output)
        }
    }
}

/// `apus map`.
struct MapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "map", abstract: "The pinned maps, for a look at what is really in the kernel.",
        discussion: """
            Examples:
              apus map list
              apus map dump services
            """,
        subcommands: [List.self, Dump.self], aliases: ["maps"])

    @OptionGroup var options: GlobalOptions

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the maps and how full they are.",
            discussion: """
                Examples:
                  apus map list
                  apus map list -o json
                """)

        @OptionGroup var options: GlobalOptions

        func run() throws { try options.console.list(try options.datapath().maps(), as: options.output) }
    }

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the entries of a map as text.",
            discussion: """
                Elements of arrays that are not in use are left out.

                Examples:
                  apus map dump services
                  apus map dump connections -o json
                """)

        @Argument(help: "Name of the map, see `apus map list`.")
        var name: String

        @OptionGroup var options: GlobalOptions

        func run() throws { try options.console.list(try options.datapath().dump(name), as: options.output) }
    }
}
