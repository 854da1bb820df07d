import ArgumentParser
import CNIInstallation
import Glibc

/// Where the CNI plugin and its configuration go.
struct CNIOptions: ParsableArguments {
    private static let defaults = CNIInstallationSettings(program: "", socket: "")

    @Option(
        help: .flag(
            "cni-conf-dir", "Where the container runtime looks for CNI configurations.",
            default: defaults.configurationDirectory))
    var cniConfDir: String?
    @Option(
        help: .flag(
            "cni-bin-dir", "Where the container runtime looks for CNI plugins.", default: defaults.binaryDirectory))
    var cniBinDir: String?
    @Option(
        help: .flag(
            "cni-conf-name", "The file that is made; it has to come before those of others.",
            default: defaults.configurationName))
    var cniConfName: String?
    @Option(help: .flag("cni-plugin", "The plugin that is copied.", default: "apus-cni beside this program"))
    var cniPlugin: String?
    @Option(
        help: .flag(
            "cni-timeout", "Seconds that a pod may wait for its policy to be in force.", default: defaults.timeout))
    var cniTimeout: Int?

    func settings(socket: String) throws -> CNIInstallationSettings {
        let program = try Environment.value("cni-plugin", cniPlugin, default: Self.programBeside())
        var settings = CNIInstallationSettings(program: program, socket: socket)
        settings.configurationDirectory = try Environment.value(
            "cni-conf-dir", cniConfDir, default: settings.configurationDirectory)
        settings.binaryDirectory = try Environment.value("cni-bin-dir", cniBinDir, default: settings.binaryDirectory)
        settings.configurationName = try Environment.value(
            "cni-conf-name", cniConfName, default: settings.configurationName)
        guard settings.configurationName.hasSuffix(".conflist"), !settings.configurationName.contains("/") else {
            throw ValidationError(
                "--cni-conf-name: '\(settings.configurationName)' is not the name of a file that ends in .conflist")
        }
        settings.timeout = try Environment.value("cni-timeout", cniTimeout, default: settings.timeout)
        guard (1...120).contains(settings.timeout) else {
            throw ValidationError("--cni-timeout: \(settings.timeout) is not a number of seconds from 1 to 120")
        }
        return settings
    }

    private static func programBeside() -> String {
        guard let path = realpath("/proc/self/exe", nil) else { return "apus-cni" }
        defer { free(path) }
        return String(cString: path).split(separator: "/", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "/") + "/apus-cni"
    }
}
