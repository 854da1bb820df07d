internal import BPF
internal import DatapathABI

/// What became of a question or an answer of DNS in the data path; the text is the label of metrics.
public enum NameOutcome: UInt32, Sendable, Hashable, CaseIterable {
    case question, learned, address, unmatched, untrusted, unasked, mismatched, collided, noRoom, crowded, fragmented
    case segmented, unparsed, handedOver, lost, madeRoom, unsolicited, late, replaced
    case forgotten, busy, unaligned, unnoted, podShare, policyShare

    public var text: String {
        switch self {
        case .question: "question"
        case .learned: "learned"
        case .address: "address"
        case .unmatched: "unmatched"
        case .untrusted: "untrusted-resolver"
        case .unasked: "unasked"
        case .mismatched: "other-question"
        case .collided: "collided"
        case .noRoom: "no-room"
        case .crowded: "crowded"
        case .fragmented: "fragmented"
        case .segmented: "segmented"
        case .unparsed: "unparsed"
        case .handedOver: "handed-over"
        case .lost: "lost"
        case .madeRoom: "made-room"
        case .unsolicited: "unsolicited"
        case .late: "late"
        case .replaced: "replaced"
        case .forgotten: "forgotten"
        case .busy: "busy"
        case .unaligned: "unaligned"
        case .unnoted: "unnoted"
        case .podShare: "pod-share"
        case .policyShare: "policy-share"
        }
    }

    /// The counter of the data path; a switch, so that a new one there needs a case here.
    init(_ counter: apus_dns_counter) {
        self =
            switch counter {
            case .APUS_DNS_COUNT_QUESTIONS: .question
            case .APUS_DNS_COUNT_LEARNED: .learned
            case .APUS_DNS_COUNT_ADDRESSES: .address
            case .APUS_DNS_COUNT_UNMATCHED: .unmatched
            case .APUS_DNS_COUNT_UNTRUSTED: .untrusted
            case .APUS_DNS_COUNT_UNASKED: .unasked
            case .APUS_DNS_COUNT_MISMATCHED: .mismatched
            case .APUS_DNS_COUNT_COLLIDED: .collided
            case .APUS_DNS_COUNT_NO_ROOM: .noRoom
            case .APUS_DNS_COUNT_CROWDED: .crowded
            case .APUS_DNS_COUNT_FRAGMENTED: .fragmented
            case .APUS_DNS_COUNT_SEGMENTED: .segmented
            case .APUS_DNS_COUNT_UNPARSED: .unparsed
            case .APUS_DNS_COUNT_HANDED_OVER: .handedOver
            case .APUS_DNS_COUNT_LOST: .lost
            case .APUS_DNS_COUNT_MADE_ROOM: .madeRoom
            case .APUS_DNS_COUNT_UNSOLICITED: .unsolicited
            case .APUS_DNS_COUNT_LATE: .late
            case .APUS_DNS_COUNT_REPLACED: .replaced
            case .APUS_DNS_COUNT_FORGOTTEN: .forgotten
            case .APUS_DNS_COUNT_BUSY: .busy
            case .APUS_DNS_COUNT_UNALIGNED: .unaligned
            case .APUS_DNS_COUNT_UNNOTED: .unnoted
            case .APUS_DNS_COUNT_POD_SHARE: .podShare
            case .APUS_DNS_COUNT_POLICY_SHARE, .APUS_DNS_COUNTERS: .policyShare
            }
    }
}

extension DatapathReader {
    /// What became of questions and answers of DNS since the maps were made.
    public func nameOutcomes() throws(DatapathReadError) -> [NameOutcome: UInt64] {
        let map = try open(.dnsCounters)
        return try reading(.dnsCounters) { () throws(BPFError) in
            var counts: [NameOutcome: UInt64] = [:]
            for outcome in NameOutcome.allCases {
                counts[outcome] = try map.lookupSum(outcome.rawValue, as: UInt64.self) ?? 0
            }
            return counts
        }
    }
}
