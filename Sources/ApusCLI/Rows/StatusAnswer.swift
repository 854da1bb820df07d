package import AgentAPI

/// What `apus status` tells: the agent's part and the data path's.
package struct StatusAnswer: Codable, Sendable {
    /// The agent, as far as it could be asked.
    package struct Agent: Codable, Sendable {
        enum CodingKeys: String, CodingKey {
            case running, status, error
            case uptime = "uptime_s"
        }

        package var running: Bool
        /// Why there is no status.
        package var error: String?
        /// Seconds since it started.
        package var uptime: UInt64?
        package var status: AgentStatus?
    }

    package var agent: Agent
    /// Nil when there are no maps.
    package var datapath: DatapathStatus?
}

/// The data path, from its maps.
package struct DatapathStatus: Codable, Sendable, Equatable {
    enum CodingKeys: String, CodingKey {
        case node, started, endpoints, frontends, services, backends, policies, connections, drops, events
        case abiVersion = "abi_version"
        case halfOpen = "half_open"
    }

    /// How full a map is.
    package struct Fill: Codable, Sendable, Equatable {
        package var used: Int
        package var capacity: Int

        package init(used: Int, capacity: Int) {
            self.used = used
            self.capacity = capacity
        }
    }

    /// Packets that were dropped for one reason, since the maps were made.
    package struct Drop: Codable, Sendable, Equatable {
        package var reason: String
        package var direction: String
        package var packets: UInt64
        package var bytes: UInt64

        package init(reason: String, direction: String, packets: UInt64, bytes: UInt64) {
            self.reason = reason
            self.direction = direction
            self.packets = packets
            self.bytes = bytes
        }
    }

    /// Flow events since the maps were made.
    package struct Events: Codable, Sendable, Equatable {
        package var submitted: UInt64
        package var lost: UInt64
        /// Openings that passed because a policy is in audit mode; not records.
        package var audited: UInt64

        package init(submitted: UInt64, lost: UInt64, audited: UInt64 = 0) {
            self.audited = audited
            self.submitted = submitted
            self.lost = lost
        }
    }

    package var node: String
    package var abiVersion: UInt32
    /// When the maps were made, RFC 3339 in UTC.
    package var started: String
    package var endpoints: Int
    package var services: Int
    package var frontends: Int
    package var backends: Int
    package var policies: Int
    package var connections: Fill
    package var halfOpen: Fill
    package var drops: [Drop]
    package var events: Events

    package init(
        node: String, abiVersion: UInt32, started: String, endpoints: Int, services: Int, frontends: Int,
        backends: Int, policies: Int, connections: Fill, halfOpen: Fill, drops: [Drop], events: Events
    ) {
        self.node = node
        self.abiVersion = abiVersion
        self.started = started
        self.endpoints = endpoints
        self.services = services
        self.frontends = frontends
        self.backends = backends
        self.policies = policies
        self.connections = connections
        self.halfOpen = halfOpen
        self.drops = drops
        self.events = events
    }
}
