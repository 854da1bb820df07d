internal import AgentAPI
internal import ArgumentParser
internal import Foundation
internal import Glibc

/// The command line tool `apus`.
public enum CommandLineTool {
    /// Runs the command of this process's arguments and ends the process.
    public static func main() async -> Never {
        // A closed pipe shall be an error of the write, which ends the command quietly, and not a signal.
        signal(SIGPIPE, SIG_IGN)
        let context = CommandContext.process(ProcessInfo.processInfo.environment)
        exit(await run(Array(CommandLine.arguments.dropFirst()), context))
    }

    /// Runs a command and answers its exit code.
    package static func run(_ arguments: [String], _ context: CommandContext) async -> Int32 {
        do {
            try await CommandContext.$current.withValue(context) {
                var command = try ApusCommand.parseAsRoot(arguments)
                if var asynchronous = command as? any AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
            }
            return 0
        } catch {
            return end(error, context.console)
        }
    }

    /// Says why a command ended, and with which code.
    private static func end(_ error: any Error, _ console: Console) -> Int32 {
        switch error {
        case is OutputClosed, is CancellationError:
            return 0
        case let error as CommandError:
            console.note("apus: \(error)")
            return ExitCode.unanswered.rawValue
        case let error as AgentError:
            console.note("apus: \(error)")
            return ExitCode.unanswered.rawValue
        default:
            let code = ApusCommand.exitCode(for: error)
            let message = ApusCommand.fullMessage(for: error)
            if message.isEmpty { return code.rawValue }
            if code.isSuccess { try? console.line(message) } else { console.note(message) }
            return code.rawValue
        }
    }
}

/// The root of all commands.
struct ApusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Looks into the Apus data path of this node.",
        discussion: """
            Most commands read the pinned maps themselves and work while apusd is stopped; they need root.

            Examples:
              apus status                          is everything well?
              apus endpoint list                   the pods of this node
              apus flow observe --follow           what happens now
              apus flow observe --verdict denied   what was denied lately
              apus connection list -o json         for jq

            Exit codes: 0 well; 1 a check failed or the data path drifted; 2 no answer (no maps, no agent, no \
            permission); 64 wrong usage.
            """,
        version: Release.version,
        subcommands: [
            StatusCommand.self, DoctorCommand.self, EndpointCommand.self, ServiceCommand.self, BackendCommand.self,
            PolicyCommand.self, FQDNCommand.self, ConnectionCommand.self, FlowCommand.self, MapCommand.self,
            VerifyCommand.self, VersionCommand.self,
        ])

    // Here and in the commands between, so that the options may stand before the subcommand, too.
    @OptionGroup var options: GlobalOptions
}
