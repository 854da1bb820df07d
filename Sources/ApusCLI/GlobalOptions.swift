internal import ArgumentParser
internal import AgentAPI

/// The options that every command has.
package struct GlobalOptions: ParsableArguments {
    static let defaultDirectory = "/sys/fs/bpf/apus"

    @Option(help: "Directory of the pinned maps. (env: APUS_BPFFS; default: \(Self.defaultDirectory))")
    var bpffs: String?

    @Option(help: "Socket of the agent. (env: APUS_SOCKET; default: \(AgentProtocol.defaultSocketPath))")
    var socket: String?

    @Option(name: [.short, .long], help: "Format of the output: table, json or yaml.")
    var output: OutputFormat = .table

    package init() {}

    var directory: String { bpffs ?? Self.variable("APUS_BPFFS") ?? Self.defaultDirectory }
    var socketPath: String { socket ?? Self.variable("APUS_SOCKET") ?? AgentProtocol.defaultSocketPath }
    var console: Console { CommandContext.current.console }
    var agent: AgentClient { CommandContext.current.agent(socketPath) }

    /// Opens the pinned maps.
    func datapath() throws -> any DatapathView { try CommandContext.current.datapath(directory) }

    /// A variable that is empty counts as not set.
    static func variable(_ name: String) -> String? {
        CommandContext.current.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
