import Agent
import ArgumentParser
import FlowExport

/// Where flows are written to.
struct ExportOptions: ParsableArguments {
    private static let policyLogDefaults = AgentConfiguration.PolicyLog()
    private static let fileDefaults = FlowExports.File(path: "")

    @Option(
        help: .flag(
            "policy-log", "The file for decisions of policies, if a NetworkLogging asks for them; empty for none.",
            default: policyLogDefaults.path))
    var policyLog: String?
    @Option(help: .flag("policy-log-rate", "Records that it gets a second at most.", default: policyLogDefaults.rate))
    var policyLogRate: Int?

    @Option(help: .flag("export-file", "The file for flows as Hubble's lines of JSON.", default: "none"))
    var exportFile: String?
    @Option(
        help: .flag(
            "export-file-max-size-mb", "MiB after which that file is put aside.",
            default: fileDefaults.size >> 20))
    var exportFileMaxSizeMb: Int?
    @Option(help: .flag("export-file-max-backups", "How many of those are kept.", default: fileDefaults.kept))
    var exportFileMaxBackups: Int?
    @Option(
        help: .flag(
            "export-allowlist",
            "Which flows are exported: Hubble's FlowFilters in JSON, of which one has to match; repeatable.",
            default: "all"))
    var exportAllowlist: [String] = []
    @Option(
        help: .flag("export-denylist", "Likewise, filters of flows that are not exported; repeatable.", default: "none")
    )
    var exportDenylist: [String] = []
    @Option(
        help: .flag(
            "export-fieldmask", "Fields of Hubble's Flow that the file gets, such as time,source.pod_name; repeatable.",
            default: "all"))
    var exportFieldmask: [String] = []

    @OptionGroup var collector: CollectorOptions

    func apply(to configuration: inout AgentConfiguration) throws {
        configuration.policyLog = try policyLogFile()
        configuration.exports.choice = try choice()
        configuration.exports.file = try file()
        configuration.exports.collector = try collector.collector()
    }

    private func policyLogFile() throws -> AgentConfiguration.PolicyLog? {
        var file = Self.policyLogDefaults
        file.rate = try Environment.number(
            "policy-log-rate", policyLogRate, default: file.rate, within: 1...1_000_000)
        guard let path = policyLog ?? Environment.anyText("policy-log") else { return file }
        file.path = path
        return path.isEmpty ? nil : file
    }

    /// A filter has commas of its own: the variables have one JSON object after the other.
    private func choice() throws -> FlowChoice {
        func texts(_ flag: String, _ given: [String]) -> [String] {
            given.isEmpty ? [Environment.text(flag)].compactMap { $0 } : given
        }
        do {
            return try FlowChoice(
                allowed: texts("export-allowlist", exportAllowlist), denied: texts("export-denylist", exportDenylist),
                fields: Environment.values("export-fieldmask", exportFieldmask).flatMap {
                    $0.split { $0 == "," || $0 == " " }.map(String.init)
                })
        } catch { throw ValidationError("--export-\(error)") }
    }

    private func file() throws -> FlowExports.File? {
        var file = FlowExports.File(path: exportFile ?? Environment.text("export-file") ?? "")
        file.size =
            try Environment.number(
                "export-file-max-size-mb", exportFileMaxSizeMb, default: file.size >> 20, within: 1...10_000) << 20
        file.kept = try Environment.number(
            "export-file-max-backups", exportFileMaxBackups, default: file.kept, within: 0...1000)
        return file.path.isEmpty ? nil : file
    }
}
