import Addressing
import Agent
import ArgumentParser
import Datapath
import Logging

/// The agent as a later release with another ABI version: for tests of upgrades and downgrades, not for nodes.
@main struct NextAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "apus-next-agent")

    @Option var node: String
    @Option var manifests: String
    @Option var bpffs: String
    @Option var cgroup: String
    @Option var uplink: String
    @Option var socket: String
    @Option(help: "A group of maps that its version has changed; repeatable.")
    var changed: [String] = []
    @Option var fqdnMinTtl = 5
    @Option var nonMasqueradeCidr: [String] = []
    @Option var mapSizeConnections = 16_384
    @Option var mapSizeHalfOpen = 4_096
    @Option var mapSizeEndpoints = 64
    @Option var mapSizeServices = 256
    @Option var mapSizeBackends = 512
    @Option var mapSizeSlots = 2_048
    @Option var mapSizePolicy = 1_024

    func run() async throws {
        var configuration = AgentConfiguration(node: node, source: .manifests(manifests))
        configuration.layouts = MapLayouts.current.next(changing: try changedGroups())
        configuration.bpffs = bpffs
        configuration.cgroup = cgroup
        configuration.uplinks = [uplink]
        configuration.socket = socket
        configuration.minimumNameLifetime = .seconds(fqdnMinTtl)
        configuration.masquerade.setExceptions(Set(nonMasqueradeCidr.compactMap { CIDR($0) }))
        configuration.policyLog = nil
        configuration.mapSizes = sizes
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        try await Agent(configuration, log: Logger(label: "apus-next-agent")).run()
    }

    private func changedGroups() throws -> Set<MapLayouts.Group> {
        let groups = MapLayouts.Group.allCases
        return Set(
            try changed.map { name in
                guard let group = groups.first(where: { "\($0)" == name }) else {
                    throw ValidationError("--changed: there is no group \(name)")
                }
                return group
            })
    }

    private var sizes: AgentConfiguration.MapSizes {
        var sizes = AgentConfiguration.MapSizes()
        sizes.connections = mapSizeConnections
        sizes.halfOpen = mapSizeHalfOpen
        sizes.endpoints = mapSizeEndpoints
        sizes.services = mapSizeServices
        sizes.backends = mapSizeBackends
        sizes.slots = mapSizeSlots
        sizes.policyEntries = mapSizePolicy
        return sizes
    }
}
