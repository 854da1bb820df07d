package import Flows

/// A connection as the data path holds it now.
package struct ConnectionRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case source, destination, service, state, counters
        case ipProtocol = "protocol"
        case openedAgo = "opened_ns_ago"
        case seenAgo = "seen_ns_ago"
        case egressRule = "egress_rule"
        case ingressRule = "ingress_rule"
        case masqueradedPort = "masqueraded_port"
        case ownPort = "own_port"
        case handshake = "handshake_ns"
        case retransmissions
    }

    /// One end of it.
    package struct End: Codable, Equatable, Sendable {
        package var address: String
        package var port: UInt16
        /// The pod of this node at this end, `namespace/name`.
        package var pod: String?

        package init(address: String, port: UInt16, pod: String? = nil) {
            self.address = address
            self.port = port
            self.pod = pod
        }

        var text: String { pod.map { port == 0 ? $0 : "\($0):\(port)" } ?? EndText.text(address, port) }
    }

    /// How far it is.
    package enum State: String, Codable, Sendable, CaseIterable {
        /// Not answered yet.
        case halfOpen = "half_open"
        case established, closing, closed, reset
    }

    package var ipProtocol: String
    /// The end that opened it.
    package var source: End
    package var destination: End
    /// The Service address that was asked for.
    package var service: String?
    package var state: State
    /// Nanoseconds since it was opened.
    package var openedAgo: UInt64
    /// Nanoseconds since its last packet.
    package var seenAgo: UInt64
    /// Packets and bytes each way, `forward` from the opener.
    package var counters: Counters
    /// The rule that let it out of the source pod.
    package var egressRule: String?
    /// The rule that let it into the destination pod.
    package var ingressRule: String?
    /// The node's port that the other end sees instead of the source, with an address of the node.
    package var masqueradedPort: UInt16?
    /// The port that the source sends from, where the other end sees the one that `source` has, as its own was taken.
    package var ownPort: UInt16?
    /// Nanoseconds that the handshake took.
    package var handshake: UInt64?
    /// Segments that were sent again by the ends that are on this node.
    package var retransmissions: FlowRetransmissions?

    /// Packets and bytes each way.
    package struct Counters: Codable, Equatable, Sendable {
        enum CodingKeys: String, CodingKey {
            case forwardPackets = "forward_packets"
            case forwardBytes = "forward_bytes"
            case reversePackets = "reverse_packets"
            case reverseBytes = "reverse_bytes"
        }

        package var forwardPackets: UInt64
        package var forwardBytes: UInt64
        package var reversePackets: UInt64
        package var reverseBytes: UInt64

        package init(forwardPackets: UInt64, forwardBytes: UInt64, reversePackets: UInt64, reverseBytes: UInt64) {
            self.forwardPackets = forwardPackets
            self.forwardBytes = forwardBytes
            self.reversePackets = reversePackets
            self.reverseBytes = reverseBytes
        }
    }

    package init(
        ipProtocol: String, source: End, destination: End, service: String?, state: State, openedAgo: UInt64,
        seenAgo: UInt64, counters: Counters, egressRule: String?, ingressRule: String?, masqueradedPort: UInt16? = nil
    ) {
        self.ipProtocol = ipProtocol
        self.source = source
        self.destination = destination
        self.service = service
        self.state = state
        self.openedAgo = openedAgo
        self.seenAgo = seenAgo
        self.counters = counters
        self.egressRule = egressRule
        self.ingressRule = ingressRule
        self.masqueradedPort = masqueradedPort
    }

    package static let absence = "no connections: no pod of this node has one open"

    package static let columns: [Column<ConnectionRow>] = [
        Column("PROTO") { $0.ipProtocol },
        Column("SOURCE") { row in row.ownPort.map { "\(row.source.text) (from \($0))" } ?? row.source.text },
        Column("DESTINATION") { $0.destination.text },
        Column("SERVICE") { $0.service ?? "" },
        Column("MASQUERADED", number: true) { $0.masqueradedPort.map { "\($0)" } ?? "" },
        Column("STATE") { $0.state.rawValue },
        Column("AGE", number: true) { Quantity.duration($0.openedAgo) },
        Column("IDLE", number: true) { Quantity.duration($0.seenAgo) },
        Column("OUT", number: true) { Quantity.size($0.counters.forwardBytes) },
        Column("BACK", number: true) { Quantity.size($0.counters.reverseBytes) },
    ]
}
