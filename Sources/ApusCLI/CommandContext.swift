package import AgentAPI
internal import LinuxKernel
package import Flows

/// What the commands use of the world, so that tests can give them another one.
package struct CommandContext: Sendable {
    package var console: Console
    package var environment: [String: String] = [:]
    /// Opens the pinned maps under a directory.
    package var datapath: @Sendable (_ directory: String) throws -> any DatapathView
    /// A client of the agent at a socket.
    package var agent: @Sendable (_ socket: String) -> AgentClient = { AgentClient(path: $0) }
    /// What `apus doctor` looks at.
    package var node: any NodeProbe = HostProbe()
    package var now: @Sendable () -> UInt64 = { KernelClock.realtime() }
    package var flowText = FlowText()

    package init(console: Console, datapath: @escaping @Sendable (String) throws -> any DatapathView) {
        self.console = console
        self.datapath = datapath
    }

    /// The context of the running command.
    @TaskLocal static var current = CommandContext(console: .standard([:])) { try PinnedDatapath(directory: $0) }

    /// The context of this process.
    static func process(_ environment: [String: String]) -> CommandContext {
        var context = CommandContext(console: .standard(environment)) { try PinnedDatapath(directory: $0) }
        context.environment = environment
        context.flowText = FlowText(usesColour: context.console.usesColour, utcOffset: TimeZoneOffset.local())
        return context
    }
}
