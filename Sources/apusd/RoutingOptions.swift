import Agent
public import ArgumentParser
public import NodeRouting

/// How packets get to the pods of other nodes.
struct RoutingOptions: ParsableArguments {
    private static let defaults = OverlaySettings()

    @Option(
        help: .flag(
            "routing",
            "How packets get to the pods of other nodes: native, by routes of others; direct, by routes to nodes on this node's links; vxlan, carried between the nodes.",
            default: RoutingMode.native.rawValue))
    var routing: RoutingMode?
    @Option(help: .flag("vxlan-device", "The interface of --routing vxlan.", default: defaults.device))
    var vxlanDevice: String?
    @Option(
        name: .customLong("vxlan-id"),
        help: .flag("vxlan-id", "Its network identifier, of all nodes the same.", default: defaults.identifier))
    var vxlanID: UInt32?
    @Option(help: .flag("vxlan-port", "Its UDP port, of all nodes the same.", default: defaults.port))
    var vxlanPort: UInt16?

    func mode() throws -> RoutingMode { try Environment.value("routing", routing, default: .native) }

    func overlay() throws -> OverlaySettings {
        var settings = Self.defaults
        settings.device = try Environment.value("vxlan-device", vxlanDevice, default: settings.device)
        // IFNAMSIZ, and what the kernel takes for a name.
        let isName = settings.device.allSatisfy { $0 != "/" && $0 != ":" && !$0.isWhitespace }
        guard (1...15).contains(settings.device.utf8.count), isName, ![".", ".."].contains(settings.device) else {
            throw ValidationError("--vxlan-device: '\(settings.device)' can't be the name of an interface")
        }
        settings.identifier = try Environment.value("vxlan-id", vxlanID, default: settings.identifier)
        guard (1..<1 << 24).contains(settings.identifier) else {
            throw ValidationError("--vxlan-id: \(settings.identifier) is not a number from 1 to 16777215")
        }
        settings.port = try Environment.value("vxlan-port", vxlanPort, default: settings.port)
        guard settings.port > 0 else { throw ValidationError("--vxlan-port: 0 is no port") }
        return settings
    }
}

extension RoutingMode: ExpressibleByArgument {}
