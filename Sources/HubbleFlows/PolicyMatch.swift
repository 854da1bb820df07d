package import Flows

/// What a rule of a policy asks of the packets that it decides on, in Cilium's terms and numbers (its pkg/monitor/api).
package enum PolicyMatch: UInt32, Sendable {
    /// No rule decided, or none that is known: a pod that policies isolate is closed to what none of them allows.
    case none = 0
    /// Peers alone.
    case peers = 1
    case peersAndPorts = 2
    case ports = 3
    /// Nothing.
    case all = 4
    /// Peers, and a protocol of which it takes every port.
    case peersAndProtocols = 5
    case protocols = 6

    /// Tells of rules what they ask.
    package typealias Lookup = @Sendable (RuleReference) -> PolicyMatch

    /// How closely a rule looks at ports.
    package enum Ports: Sendable {
        case any, protocols, numbers
    }

    package init(restrictsPeers: Bool, ports: Ports) {
        self =
            switch (restrictsPeers, ports) {
            case (true, .any): .peers
            case (true, .protocols): .peersAndProtocols
            case (true, .numbers): .peersAndPorts
            case (false, .any): .all
            case (false, .protocols): .protocols
            case (false, .numbers): .ports
            }
    }
}
