import Addressing
import Agent
import ArgumentParser

/// Whether and where what pods send leaves in the node's name, and by which ports.
struct MasqueradeOptions: ParsableArguments {
    @Option(
        help: .flag("masquerade", "Have what pods send out of the cluster leave in the node's name.", default: "on"))
    var masquerade: Switch?
    @Option(
        help: .flag(
            "non-masquerade-cidr",
            "A block that pods reach by their own address, as they do pods of all nodes; repeatable, with commas in the variable. Those given replace the default ones of their family.",
            default: "private, link-local, documentation and multicast ranges"))
    var nonMasqueradeCidr: [String] = []
    @Option(
        help: .flag(
            "source-ports",
            "FIRST-LAST: the node's ports for what leaves in its name, of pods and of clients of Services whose backend is on another node.",
            default: "61000-65535"))
    var sourcePorts: PortRange?

    func apply(to configuration: inout AgentConfiguration) throws {
        configuration.masquerade.isOn = try Environment.value("masquerade", masquerade, default: .on) == .on
        let blocks = try Environment.values("non-masquerade-cidr", nonMasqueradeCidr).map {
            try Environment.block("non-masquerade-cidr", $0)
        }
        if !blocks.isEmpty { configuration.masquerade.setExceptions(Set(blocks)) }
        configuration.sourcePorts = try Environment.value(
            "source-ports", sourcePorts, default: PortRange(ports: configuration.sourcePorts)
        ).ports
    }
}
