import Agent
import ArgumentParser

/// Where flows are written to.
struct ExportOptions: ParsableArguments {
    private static let defaults = AgentConfiguration.PolicyLog()

    @Option(
        help: .flag(
            "policy-log", "The file for decisions of policies, if a NetworkLogging asks for them; empty for none.",
            default: defaults.path))
    var policyLog: String?
    @Option(help: .flag("policy-log-rate", "Records that it gets a second at most.", default: defaults.rate))
    var policyLogRate: Int?

    func apply(to configuration: inout AgentConfiguration) throws {
        configuration.policyLog = try policyLogFile()
    }

    private func policyLogFile() throws -> AgentConfiguration.PolicyLog? {
        var file = Self.defaults
        file.rate = try Environment.value("policy-log-rate", policyLogRate, default: file.rate)
        guard (1...1_000_000).contains(file.rate) else {
            throw ValidationError("--policy-log-rate: \(file.rate) is not a number from 1 to 1000000")
        }
        guard let path = policyLog ?? Environment.anyText("policy-log") else { return file }
        file.path = path
        return path.isEmpty ? nil : file
    }
}
