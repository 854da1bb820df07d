import Agent
import ArgumentParser

/// Removes the data path.
struct CleanUp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup",
        abstract: "Remove everything that Apus made on this node, and only that.",
        discussion: """
            Run it when the agent is stopped; while one works with the pins, nothing is removed. Packets go on as the host's stack and other programs see fit.

            Example:
              apusd cleanup --bpffs /sys/fs/bpf/apus
            """)

    @OptionGroup var pins: PinOptions

    func run() throws {
        let path = try pins.path()
        let removed = try Agent.cleanUp(bpffs: path)
        print(
            removed.isEmpty ? "nothing of Apus was pinned under \(path)" : "removed \(removed.count) pins under \(path)"
        )
    }
}
