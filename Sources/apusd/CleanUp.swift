import Agent
import ArgumentParser
import CNIInstallation

/// Removes the data path.
struct CleanUp: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup",
        abstract: "Remove everything that Apus made on this node, and only that.",
        discussion: """
            Run it when the agent is stopped; while one works with the pins or listens on the socket, nothing is removed. Packets go on as the host's stack and other programs see fit. The sockets of an agent that died are removed too, unless somebody listens there, and so is the CNI plugin with its configuration where that names this --socket. What belongs to an agent with other pins and another socket stays; as routes to other nodes and an overlay are nobody's by a mark, they go with the pins, or where neither --bpffs nor --socket names another place than usual.

            Example:
              apusd cleanup --bpffs /sys/fs/bpf/apus
            """)

    @OptionGroup var pins: PinOptions
    @OptionGroup var socket: SocketOptions
    @OptionGroup var hubbleSocket: HubbleSocketOptions
    @OptionGroup var cni: CNIOptions

    func run() async throws {
        let (path, socket) = (try pins.path(), try socket.path())
        let installer = CNIInstaller(try cni.settings(socket: socket))
        let sockets = [socket] + [hubbleSocket.path(beside: socket)].compactMap { $0 }
        let removed = try await Agent.cleanUp(bpffs: path, sockets: sockets)
        let pinned = removed.pins.count
        print(pinned == 0 ? "nothing of Apus was pinned under \(path)" : "removed \(pinned) pins under \(path)")
        if removed.routes > 0 { print("removed \(removed.routes) routes to other nodes") }
        for overlay in removed.overlays { print("removed the interface \(overlay)") }
        for file in try installer.removeOwn() { print("removed \(file)") }
        for socket in removed.sockets { print("removed the socket \(socket) of an agent that is gone") }
    }
}
