internal import DatapathABI
public import NetworkPolicy

/// A pod of this node as the data path names it.
public struct EndpointReference: Sendable, Hashable {
    /// Its slot in `endpoints`.
    public var slot: UInt32
    /// Its identity at the time: a slot that has another one now belongs to another pod.
    public var identity: UInt32

    public init(slot: UInt32, identity: UInt32) {
        self.slot = slot
        self.identity = identity
    }

    /// Nil for the slot that stands for what is not on this node.
    init?(abiSlot slot: UInt32, identity: UInt32) {
        if slot == 0 { return nil }
        self.init(slot: slot, identity: identity)
    }
}

/// The part of a policy that decided.
public enum DecidingRule: Sendable, Hashable {
    /// The rule with this index in the policy.
    case rule(UInt32)
    /// The policy isolates the pod and no rule matched.
    case isolation
    /// No rule matched, and the policy does not isolate the pod.
    case noRule

    init(abi rule: UInt32) {
        switch rule {
        case APUS_RULE_NONE: self = .noRule
        case APUS_RULE_ISOLATION: self = .isolation
        default: self = .rule(rule)
        }
    }

    /// The index as the maps keep it.
    var abi: UInt32 {
        switch self {
        case .rule(let index): index
        case .isolation: APUS_RULE_ISOLATION
        case .noRule: APUS_RULE_NONE
        }
    }
}

/// What judged one side of a connection or packet.
public struct PolicyDecision: Sendable, Hashable {
    public var policy: PolicyID
    public var rule: DecidingRule

    public init(policy: PolicyID, rule: DecidingRule) {
        self.policy = policy
        self.rule = rule
    }

    /// Nil when no policy applied.
    init?(abiPolicy policy: UInt32, rule: UInt32) {
        if policy == 0 { return nil }
        self.init(policy: PolicyID(rawValue: policy), rule: DecidingRule(abi: rule))
    }
}

extension PolicyDecision: CustomStringConvertible {
    /// `00c0ffee/2`, `00c0ffee/isolation`, `00c0ffee/-`.
    public var description: String {
        switch rule {
        case .rule(let index): "\(policy)/\(index)"
        case .isolation: "\(policy)/isolation"
        case .noRule: "\(policy)/-"
        }
    }
}

extension EndpointReference: CustomStringConvertible {
    /// `3#17`: slot and identity.
    public var description: String { "\(slot)#\(identity)" }
}

/// Packets and layer 2 bytes in one direction.
public struct TrafficCount: Sendable, Hashable {
    public var packets: UInt64
    public var bytes: UInt64

    public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
        self.packets = packets
        self.bytes = bytes
    }
}

/// The type and code of an ICMP or ICMPv6 message.
public struct ICMPTypeAndCode: Sendable, Hashable {
    public var type: UInt8
    public var code: UInt8

    public init(type: UInt8, code: UInt8) {
        self.type = type
        self.code = code
    }
}
