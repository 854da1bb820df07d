internal import DatapathABI

/// Why a packet was dropped: the field of events, the label of metrics and the text of the CLI.
public enum DropReason: UInt8, Sendable, Hashable, CaseIterable {
    case unknownEndpoint = 1
    case invalidSourceMAC
    case invalidSource
    case truncated
    case malformed
    case unsupported
    case fragment
    case policyIsolated
    case policyDenied
    case policyMissing
    case noBackend
    case sourcePort
    case connectionFailed
    case noLocalBackend
    case noSource
    case sourceRange
    case invalidDestination
    case portsExhausted

    /// The reason of the ABI; nil for the one that says that nothing was dropped.
    init?(_ reason: apus_reason) {
        // Exhaustive on purpose: a new reason must get its words here before anything compiles.
        switch reason {
        case .APUS_REASON_NONE, .APUS_REASON_COUNT: return nil
        case .APUS_REASON_UNKNOWN_ENDPOINT: self = .unknownEndpoint
        case .APUS_REASON_INVALID_SOURCE_MAC: self = .invalidSourceMAC
        case .APUS_REASON_INVALID_SOURCE: self = .invalidSource
        case .APUS_REASON_TRUNCATED: self = .truncated
        case .APUS_REASON_MALFORMED: self = .malformed
        case .APUS_REASON_UNSUPPORTED: self = .unsupported
        case .APUS_REASON_FRAGMENT: self = .fragment
        case .APUS_REASON_POLICY_ISOLATED: self = .policyIsolated
        case .APUS_REASON_POLICY_DENIED: self = .policyDenied
        case .APUS_REASON_POLICY_MISSING: self = .policyMissing
        case .APUS_REASON_NO_BACKEND: self = .noBackend
        case .APUS_REASON_SOURCE_PORT: self = .sourcePort
        case .APUS_REASON_CONNECTION_FAILED: self = .connectionFailed
        case .APUS_REASON_NO_LOCAL_BACKEND: self = .noLocalBackend
        case .APUS_REASON_NO_SOURCE: self = .noSource
        case .APUS_REASON_SOURCE_RANGE: self = .sourceRange
        case .APUS_REASON_INVALID_DESTINATION: self = .invalidDestination
        case .APUS_REASON_PORTS_EXHAUSTED: self = .portsExhausted
        }
    }

    /// The reason as a metric label: `policy_isolated`, `no_backend`.
    public var text: String {
        switch self {
        case .unknownEndpoint: "unknown_endpoint"
        case .invalidSourceMAC: "invalid_source_mac"
        case .invalidSource: "invalid_source"
        case .truncated: "truncated"
        case .malformed: "malformed"
        case .unsupported: "unsupported"
        case .fragment: "fragment"
        case .policyIsolated: "policy_isolated"
        case .policyDenied: "policy_denied"
        case .policyMissing: "policy_missing"
        case .noBackend: "no_backend"
        case .sourcePort: "source_port"
        case .connectionFailed: "connection_failed"
        case .noLocalBackend: "no_local_backend"
        case .noSource: "no_source"
        case .sourceRange: "source_range"
        case .invalidDestination: "invalid_destination"
        case .portsExhausted: "ports_exhausted"
        }
    }

    /// The reason as a sentence for people.
    public var sentence: String {
        switch self {
        case .unknownEndpoint: "The packet came from or went to an interface that no endpoint owns."
        case .invalidSourceMAC: "The pod used a hardware address that is not its own."
        case .invalidSource: "The pod used a source address that it does not own."
        case .truncated: "The packet is shorter than its headers say."
        case .malformed: "The packet's header fields contradict each other."
        case .unsupported: "The link-layer protocol is neither IP nor ARP."
        case .fragment: "The fragment's first one was not seen, or it is of SCTP and its port would have to change."
        case .policyIsolated: "A policy isolates the pod and no rule allows the connection."
        case .policyDenied: "A policy rule denies the connection."
        case .policyMissing: "The endpoint's policy is not in the maps, so nothing is allowed."
        case .noBackend: "The Service has no endpoint that could take the connection."
        case .sourcePort: "The client's port is taken towards the backend, and no other port was free."
        case .connectionFailed: "The connection could not be recorded."
        case .noLocalBackend: "The Service's traffic from outside stays on nodes with an endpoint, and this is none."
        case .noSource: "The node has no address of the family to send from in its own name."
        case .sourceRange: "The Service's load balancer is not for this client (loadBalancerSourceRanges)."
        case .invalidDestination: "The packet came to a pod's interface and is for an address that is not the pod's."
        case .portsExhausted: "No port of the node was found free towards the destination (--source-ports)."
        }
    }
}

extension DropReason: CustomStringConvertible {
    public var description: String { text }
}
