import Agent
import ArgumentParser

/// Removes the data path.
struct CleanUp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup",
        abstract: "Remove everything that Apus made on this node, and only that.",
        discussion: """
            Run it when the agent is stopped; while one works with the pins, nothing is removed. Packets go on as the host's stack and other programs see fit. The socket of an agent that died is removed too, unless somebody listens there.

            Example:
              apusd cleanup --bpffs /sys/fs/bpf/apus
            """)

    @OptionGroup var pins: PinOptions
    @OptionGroup var socket: SocketOptions

    func run() throws {
        let (path, socket) = (try pins.path(), try socket.path())
        let removed = try Agent.cleanUp(bpffs: path, socket: socket)
        let pinned = removed.pins.count
        print(pinned == 0 ? "nothing of Apus was pinned under \(path)" : "removed \(pinned) pins under \(path)")
        if removed.socket { print("removed the socket \(socket) of an agent that is gone") }
    }
}
