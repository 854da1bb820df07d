internal import ArgumentParser
internal import ManifestLint

/// `apus policy lint`.
struct PolicyLintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Looks for mistakes in the policies of manifests.",
        discussion: """
            Reads files, and of directories the files *.yaml, *.yml and *.json, and checks them together: errors of \
            objects with their fields, rules that are never asked or say nothing new, selectors that match nothing of \
            what the manifests have, named ports that nobody has, empty lists that admit everything. It needs no agent, \
            no kernel and no root. docs/lint.md has every code.

            Exit codes: 0 no errors; 1 errors, with --strict warnings too; 2 a path that can't be read.

            Examples:
              apus policy lint manifests/
              apus policy lint --strict namespaces.yaml pods.yaml policies/
              kubectl get networkpolicy,pod,namespace -A -o yaml | apus policy lint -
              apus policy lint manifests/ -o json | jq '.[] | select(.severity == "error")'
            """)

    @Argument(help: "Files or directories of manifests; - is the standard input.")
    var paths: [String]

    @Flag(help: "Warnings count as errors in the exit code.")
    var strict = false

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let report = ManifestLint.check(try ManifestFiles.read(paths))
        let console = options.console
        for note in report.notes { console.note("apus: \(note)") }
        if options.output == .table {
            if !report.findings.isEmpty { try console.write(Table.text(report.findings, LintFinding.columns)) }
            console.note(Self.summary(report))
        } else {
            try console.write(options.output.text(report.findings))
        }
        if report.errors > 0 || strict && report.warnings > 0 { throw ExitCode.checkFailed }
    }

    private static func summary(_ report: LintReport) -> String {
        if report.findings.isEmpty { return "nothing found" }
        return "\(Quantity.count(report.errors, "error")), \(Quantity.count(report.warnings, "warning"))"
    }
}

extension LintFinding {
    static let columns: [Column<LintFinding>] = [
        Column("SEVERITY") { $0.severity.rawValue },
        Column("CODE") { $0.code.rawValue },
        Column("WHERE") { $0.file + ($0.document.map { ", document \($0)" } ?? "") },
        Column("OBJECT") { $0.object ?? "" },
        Column("FIELD") { $0.field ?? "" },
        Column("MESSAGE") { $0.message },
    ]
}
