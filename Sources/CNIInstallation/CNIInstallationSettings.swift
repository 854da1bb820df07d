/// Where a node's CNI configuration and programs are, and what of ours goes there.
public struct CNIInstallationSettings: Sendable, Hashable {
    /// Where runtimes look for configurations, of which they take the first by name.
    public var configurationDirectory = "/etc/cni/net.d"
    /// Where they look for plugins.
    public var binaryDirectory = "/opt/cni/bin"
    /// The file that is ours; it has to come before those of others.
    public var configurationName = "00-apus.conflist"
    /// The plugin, to be copied from here.
    public var program: String
    /// Where the plugin finds the agent.
    public var socket: String
    /// How many seconds it waits for a policy to be in force.
    public var timeout = 10

    public init(program: String, socket: String) {
        self.program = program
        self.socket = socket
    }

    /// Where our configuration is.
    public var configuration: String { "\(configurationDirectory)/\(configurationName)" }
}

/// Why plugin and configuration are not as they should be.
public struct CNIInstallationError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
