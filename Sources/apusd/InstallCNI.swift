import Agent
import ArgumentParser
import CNIInstallation

/// Installs the CNI plugin, or takes it away.
struct InstallCNI: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install-cni",
        abstract: "Put the CNI plugin apus-cni behind those of this node, or take it away.",
        discussion: """
            A copy of the configuration that the runtime uses is made, with apus-cni at its end, under a name that comes first. Where there is no configuration, a complete one is made, of ptp and host-local over --pod-cidr. No file of others is changed. Run it again after one of them has; an agent with --cni on does so by itself.

            Examples:
              apusd install-cni
              apusd install-cni --pod-cidr 10.244.1.0/24 --pod-cidr fd00:10:244:1::/64
              apusd install-cni --remove
            """)

    @Flag(help: "Take plugin and configuration away: what is left is what was there before.")
    var remove = false
    @Option(
        help: .flag(
            "pod-cidr", "A block for pods' addresses where no other plugin gives them; repeatable, one of each family.")
    )
    var podCIDR: [String] = []
    @OptionGroup var cni: CNIOptions
    @OptionGroup var routing: RoutingOptions
    @OptionGroup var socket: SocketOptions

    func run() throws {
        let installer = CNIInstaller(try cni.settings(socket: try socket.path()))
        if remove {
            let removed = try installer.remove()
            print(
                removed.isEmpty ? "nothing of Apus was there" : removed.map { "removed \($0)" }.joined(separator: "\n"))
            return
        }
        let ranges = try Environment.values("pod-cidr", podCIDR).map { try Environment.block("pod-cidr", $0) }
        let outcome = try installer.install(
            ranges: ranges, mtu: Agent.podMTU(try routing.mode(), try routing.overlay()))
        for path in outcome.changed { print("wrote \(path)") }
        if let obstacle = outcome.obstacle { throw ValidationError("\(obstacle) (--pod-cidr)") }
        if let warning = outcome.warning { print("warning: \(warning)") }
        if outcome.changed.isEmpty { print("all is up to date") }
    }
}
