internal import ArgumentParser

/// `apus doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Checks whether Apus can run on this node, and what gets in its way.",
        discussion: """
            Asks the kernel for each feature that Apus needs, looks at mounts and uplinks, and for other software that \
            handles pod traffic. It changes nothing. Exit code 1: a requirement is not met; warnings do not count.

            Examples:
              apus doctor
              apus doctor --uplink eth0 --uplink eth1
              apus doctor -o json | jq '.[] | select(.result != "ok")'
            """)

    @OptionGroup var options: GlobalOptions

    @Option(help: "Interface that leads out of the node. (env: APUS_UPLINK; default: those of the default routes)")
    var uplink: [String] = []

    /// Those that are given, else those that `apusd` is given by its variable.
    private var uplinks: [String] {
        guard uplink.isEmpty else { return uplink }
        return (GlobalOptions.variable("APUS_UPLINK") ?? "").split(separator: ",").map(String.init)
    }

    func run() throws {
        let facts = CommandContext.current.node.facts(directory: options.directory, uplinks: uplinks)
        let checks = facts.checks
        if options.output == .table {
            try options.console.write(Self.text(checks, options.console))
        } else {
            try options.console.list(checks, as: options.output)
        }
        if checks.contains(where: { $0.result == .failed }) { throw ExitCode.checkFailed }
    }

    /// The advice stands under the line that it belongs to.
    static func text(_ checks: [DoctorCheck], _ console: Console) -> String {
        let lines = Table.text(checks, DoctorCheck.columns).split(separator: "\n").map(String.init)
        let body = zip(checks, lines.dropFirst()).map { check, line in
            paint(check, line, console) + (check.advice.map { "\n          -> \($0)" } ?? "")
        }
        return (lines.prefix(1) + body + [summary(checks, console)]).joined(separator: "\n") + "\n"
    }

    private static func paint(_ check: DoctorCheck, _ line: String, _ console: Console) -> String {
        let word = check.result.rawValue
        return console.paint(word, colour(check.result)) + line.dropFirst(word.count)
    }

    private static func colour(_ result: DoctorCheck.Result) -> Colour {
        switch result {
        case .ok: .green
        case .warning: .yellow
        case .failed: .red
        }
    }

    private static func summary(_ checks: [DoctorCheck], _ console: Console) -> String {
        let failed = checks.count { $0.result == .failed }
        let warnings = Quantity.count(checks.count { $0.result == .warning }, "warning")
        return failed == 0
            ? console.paint("Apus can run here", .green) + ", \(warnings)"
            : console.paint("Apus can't run here", .red) + ": \(Quantity.count(failed, "check")) failed, \(warnings)"
    }
}
