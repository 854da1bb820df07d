internal import Addressing
internal import DatapathABI

extension apus_address {
    init(_ address: IPAddress) { self.init(high: address.high.bigEndian, low: address.low.bigEndian) }

    var address: IPAddress { IPAddress(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low)) }
}

extension apus_address {
    /// No address: of a slot that an endpoint does not use, and of "no frontend".
    static let none = apus_address(high: 0, low: 0)
}

extension apus_connection_key {
    /// The key of a tuple, its ends in the order that the data path gives them: as little-endian numbers.
    init(_ tuple: FlowTuple) {
        func order(_ end: SocketAddress) -> (UInt64, UInt64, UInt16) {
            (end.address.low.bigEndian, end.address.high.bigEndian, end.port.bigEndian)
        }
        let isSourceHigh = order(tuple.source) > order(tuple.destination)
        let (low, high) = isSourceHigh ? (tuple.destination, tuple.source) : (tuple.source, tuple.destination)
        self.init()
        self.low = apus_address(low.address)
        self.high = apus_address(high.address)
        low_port = low.port.bigEndian
        high_port = high.port.bigEndian
        self.protocol = tuple.ipProtocol.rawValue
    }
}

extension apus_connection {
    /// What the end that opened has sent.
    var openerSide: apus_connection_side { opener == 0 ? sides.0 : sides.1 }
    /// What the other end has sent.
    var responderSide: apus_connection_side { opener == 0 ? sides.1 : sides.0 }

    func has(_ flag: apus_connection_flag) -> Bool { UInt32(flags) & flag.rawValue != 0 }
}

/// What is told of flows; the ABI's enum has no name in Swift.
enum FlowDetail {
    case none, connections, packets

    var abi: UInt8 {
        switch self {
        case .none: UInt8(APUS_FLOW_DETAIL_NONE)
        case .connections: UInt8(APUS_FLOW_DETAIL_CONNECTIONS)
        case .packets: UInt8(APUS_FLOW_DETAIL_PACKETS)
        }
    }
}

/// A rule that is none; the macros' casts are not imported.
let noRule: UInt32 = 0xffff_ffff
/// The rule of what no rule allows.
let isolationRule: UInt32 = 0xffff_fffe

/// The reasons under names that read well in a table of tests.
extension apus_reason {
    static let unknownEndpoint = APUS_REASON_UNKNOWN_ENDPOINT
    static let invalidSourceMAC = APUS_REASON_INVALID_SOURCE_MAC
    static let invalidSource = APUS_REASON_INVALID_SOURCE
    static let truncated = APUS_REASON_TRUNCATED
    static let malformed = APUS_REASON_MALFORMED
    static let unsupported = APUS_REASON_UNSUPPORTED
    static let fragment = APUS_REASON_FRAGMENT
    static let isolated = APUS_REASON_POLICY_ISOLATED
    static let denied = APUS_REASON_POLICY_DENIED
    static let policyMissing = APUS_REASON_POLICY_MISSING
    static let noBackend = APUS_REASON_NO_BACKEND
    static let sourcePort = APUS_REASON_SOURCE_PORT
    static let noLocalBackend = APUS_REASON_NO_LOCAL_BACKEND
    static let noSource = APUS_REASON_NO_SOURCE
    static let sourceRange = APUS_REASON_SOURCE_RANGE
    static let invalidDestination = APUS_REASON_INVALID_DESTINATION
    static let portsExhausted = APUS_REASON_PORTS_EXHAUSTED
    static let connectionFailed = APUS_REASON_CONNECTION_FAILED
}

/// An event of the ring buffer, with the fields that tests compare.
@dynamicMemberLookup
struct Event {
    let record: apus_event

    enum Kind: UInt8 { case opened, denied, closed, audited, packet }
    enum Ending: UInt8 { case live, finished, reset, expired, replaced }

    var kind: Kind? { Kind(rawValue: record.kind) }
    var ending: Ending? { Ending(rawValue: record.ending) }
    var reason: apus_reason? { apus_reason(rawValue: UInt32(record.reason)) }
    var direction: apus_direction? { apus_direction(rawValue: UInt32(record.direction)) }
    var sourceEnd: SocketAddress { SocketAddress(record.source.address, Port(bigEndian: record.source_port)) }
    var destinationEnd: SocketAddress {
        SocketAddress(record.destination.address, Port(bigEndian: record.destination_port))
    }
    var frontendEnd: SocketAddress { SocketAddress(record.frontend.address, Port(bigEndian: record.frontend_port)) }

    subscript<Value>(dynamicMember field: KeyPath<apus_event, Value>) -> Value { record[keyPath: field] }
}

extension apus_endpoint {
    // The same in every epoch.

    /// What its live connections were judged under.
    var generation: UInt32 {
        get { epochs.0.generation }
        set { setEpochs { $0.generation = newValue } }
    }

    /// The policy for what enters.
    var ingress_policy: UInt32 {
        get { epochs.0.ingress_policy }
        set { setEpochs { $0.ingress_policy = newValue } }
    }

    /// The policy for what leaves.
    var egress_policy: UInt32 {
        get { epochs.0.egress_policy }
        set { setEpochs { $0.egress_policy = newValue } }
    }

    private mutating func setEpochs(_ change: (inout apus_endpoint_epoch) -> Void) {
        var epoch = epochs.0
        change(&epoch)
        epochs = (epoch, epoch, epoch, epoch)
    }
}

extension apus_peer {
    /// The same in every epoch.
    init(_ epoch: apus_peer_epoch) { self.init(epochs: (epoch, epoch, epoch, epoch)) }
}

extension apus_prefix_peer {
    /// The same in every epoch.
    init(_ classID: UInt32) { self.init(classes: (classID, classID, classID, classID)) }
}
