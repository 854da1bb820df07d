internal import HubbleAPI
internal import SwiftProtobuf

/// Cilium's numbers for the kinds of event that `hubble observe --type` asks for (its pkg/monitor/api).
enum CiliumEvent {
    static let policyVerdict = event(5)
    static let accessLog = event(129)

    static func drop(_ reason: HubbleDropReason) -> HubbleCiliumEventType { event(1, Int32(reason.rawValue)) }

    /// What a program of Cilium's that sees a packet there tells.
    enum Trace: Int32 {
        case toEndpoint = 0
        case toStack = 3
        case toNetwork = 11

        /// The same in the flow's own field.
        var point: HubbleTraceObservationPoint {
            switch self {
            case .toEndpoint: .toEndpoint
            case .toStack: .toStack
            case .toNetwork: .toNetwork
            }
        }
    }

    static func trace(_ point: Trace) -> HubbleCiliumEventType { event(4, point.rawValue) }

    private static func event(_ type: Int32, _ subtype: Int32 = 0) -> HubbleCiliumEventType {
        HubbleCiliumEventType.with { ($0.type, $0.subType) = (type, subtype) }
    }
}

/// Hubble's number for a reason of the data path; those without one are invalid packets to it.
enum DropReasons {
    /// Those of policies.
    static let policies: Set = ["policy_isolated", "policy_denied", "policy_missing"]

    static func number(_ reason: String?) -> HubbleDropReason {
        switch reason {
        case nil: .unknown
        case "invalid_source_mac": .invalidSourceMac
        case "invalid_source", "unknown_endpoint": .invalidSourceIp
        case "truncated": .ctTruncatedOrInvalidHeader
        case "unsupported": .unsupportedL3Protocol
        case "fragment": .firstLogicalDatagramFragmentNotFound
        case "policy_isolated", "policy_missing": .policyDenied
        case "policy_denied": .policyDeny
        case "no_backend", "no_local_backend": .serviceBackendNotFound
        case "source_port", "no_source", "ports_exhausted": .noMappingForNatMasquerade
        case "source_range": .deniedByLbSrcRangeCheck
        case "connection_failed": .ctMapInsertionFailed
        default: .invalidPacketDropped
        }
    }
}
