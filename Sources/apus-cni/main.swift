internal import CNI
internal import Glibc

// Glibc alone: a plugin is started for each pod, several times.
let agent = AgentSocket()
let plugin = CNIPlugin(
    variable: { name in getenv(name).map { String(cString: $0) } }, input: StandardStreams.input(), agent: agent.ask)
let outcome = plugin.run()
StandardStreams.write(outcome.note, to: STDERR_FILENO)
StandardStreams.write(outcome.output, to: STDOUT_FILENO)
exit(outcome.status)
