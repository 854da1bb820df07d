internal import DatapathABI

/// What an event reports.
public enum EventKind: UInt8, Sendable, Hashable, CaseIterable {
    case opened, denied, closed, audited, packet

    init(_ kind: apus_event_kind) {
        switch kind {
        case .APUS_EVENT_OPENED: self = .opened
        case .APUS_EVENT_DENIED: self = .denied
        case .APUS_EVENT_CLOSED: self = .closed
        case .APUS_EVENT_AUDITED: self = .audited
        case .APUS_EVENT_PACKET: self = .packet
        }
    }

    /// The kind as a metric label.
    public var text: String {
        switch self {
        case .opened: "opened"
        case .denied: "denied"
        case .closed: "closed"
        case .audited: "audited"
        case .packet: "packet"
        }
    }

    /// The kind as a sentence for people.
    public var sentence: String {
        switch self {
        case .opened: "A connection was admitted and its first packet passed."
        case .denied: "Packets were dropped."
        case .closed: "A connection ended."
        case .audited: "Openings passed that a policy in audit mode would have denied."
        case .packet: "A packet of an open connection passed."
        }
    }
}

/// How a connection ended.
public enum Ending: UInt8, Sendable, Hashable, CaseIterable {
    case finished = 1
    case reset, expired, replaced

    /// The ending of the ABI; nil for the one of events that end nothing.
    init?(_ ending: apus_ending) {
        switch ending {
        case .APUS_ENDING_NONE: return nil
        case .APUS_ENDING_FINISHED: self = .finished
        case .APUS_ENDING_RESET: self = .reset
        case .APUS_ENDING_EXPIRED: self = .expired
        case .APUS_ENDING_REPLACED: self = .replaced
        }
    }

    /// The ending as a metric label.
    public var text: String {
        switch self {
        case .finished: "finished"
        case .reset: "reset"
        case .expired: "expired"
        case .replaced: "replaced"
        }
    }

    /// The ending as a sentence for people.
    public var sentence: String {
        switch self {
        case .finished: "Both ends finished."
        case .reset: "One end reset the connection."
        case .expired: "The connection was idle for longer than its protocol's time."
        case .replaced: "Another connection with the same addresses and ports took its place."
        }
    }
}

/// The direction of a packet as its pod sees it.
public enum TrafficDirection: UInt8, Sendable, Hashable, CaseIterable {
    case egress, ingress

    init(_ direction: apus_direction) {
        switch direction {
        case .APUS_DIRECTION_EGRESS: self = .egress
        case .APUS_DIRECTION_INGRESS: self = .ingress
        }
    }

    /// The direction as a metric label.
    public var text: String {
        switch self {
        case .egress: "egress"
        case .ingress: "ingress"
        }
    }

    /// The direction as a sentence for people.
    public var sentence: String {
        switch self {
        case .egress: "The packet was leaving a pod."
        case .ingress: "The packet was entering a pod."
        }
    }
}

extension EventKind: CustomStringConvertible {
    public var description: String { text }
}

extension Ending: CustomStringConvertible {
    public var description: String { text }
}

extension TrafficDirection: CustomStringConvertible {
    public var description: String { text }
}
