public import Addressing

/// A number that stands for one ordered rule list; what it stands for never changes while it lives.
public struct PolicyID: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// No policy in that direction: everything is allowed.
    public static let none = PolicyID(rawValue: 0)

    public static func < (left: PolicyID, right: PolicyID) -> Bool { left.rawValue < right.rawValue }

    public var description: String { hexadecimal(rawValue) }
}

/// A number that stands for one set of peer selectors and blocks; what it stands for never changes while it lives.
public struct ClassID: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The addresses that no selector or block of this node's policies matches.
    public static let anyone = ClassID(rawValue: 0)

    public static func < (left: ClassID, right: ClassID) -> Bool { left.rawValue < right.rawValue }

    public var description: String { hexadecimal(rawValue) }
}

private func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
}

/// What one bit of a policy stands for; several bits may have the same origin (named ports).
public struct CompiledRule: Sendable, Hashable {
    public var origin: RuleOrigin
    public var tier: PolicyTier
    public var action: PolicyAction
    /// Whether it denies in audit mode: what it matches is reported and not denied.
    public var isAudited: Bool
    /// The peers admitted, as text in a stable order; nil for every peer.
    public var peers: [String]?
    /// The ports admitted; nil for every protocol and port.
    public var ports: [PortPrefix]?

    public init(
        origin: RuleOrigin, tier: PolicyTier, action: PolicyAction, isAudited: Bool = false, peers: [String]? = nil,
        ports: [PortPrefix]? = nil
    ) {
        self.origin = origin
        self.tier = tier
        self.action = action
        self.isAudited = isAudited
        self.peers = peers
        self.ports = ports
    }
}

/// Ports of one protocol that share their upper bits: all of them (length 0) down to one (length 16).
public struct PortPrefix: Sendable, Hashable, Comparable {
    public let ipProtocol: IPProtocol
    /// The lowest port.
    public let port: Port
    /// How many upper bits of `port` count, 0…16.
    public let length: Int

    public init(_ ipProtocol: IPProtocol, port: Port, length: Int) {
        self.ipProtocol = ipProtocol
        self.port = port & PortPrefix.mask(length)
        self.length = length
    }

    /// The highest port.
    public var last: Port { port | ~PortPrefix.mask(length) }

    /// Whether every port of `other` is in this prefix.
    public func contains(_ other: PortPrefix) -> Bool {
        ipProtocol == other.ipProtocol && length <= other.length && other.port & PortPrefix.mask(length) == port
    }

    public static func < (left: PortPrefix, right: PortPrefix) -> Bool {
        (left.ipProtocol, left.port, left.length) < (right.ipProtocol, right.port, right.length)
    }

    private static func mask(_ length: Int) -> Port { length == 0 ? 0 : ~0 << Port(16 - length) }
}

/// The rules of one page that a prefix of ports admits.
public struct PortEntry: Sendable, Hashable {
    public var ports: PortPrefix
    /// The bits of this prefix and of every shorter prefix of the page that covers it.
    public var bits: PageBits

    public init(ports: PortPrefix, bits: PageBits) {
        self.ports = ports
        self.bits = bits
    }
}

/// The masks and port entries of 256 rules.
public struct CompiledPage: Sendable, Hashable {
    /// Rules that admit every peer.
    public var anyPeer = PageBits()
    /// Rules that admit every protocol and port.
    public var anyPort = PageBits()
    public var admin = PageBits()
    public var networkPolicy = PageBits()
    public var baseline = PageBits()
    /// Rules that deny; a rule in neither `deny` nor `pass` allows, one in both denies in audit mode.
    public var deny = PageBits()
    public var pass = PageBits()
    /// The port entries, in the order of their prefixes.
    public var ports: [PortEntry] = []

    /// A page without rules.
    public init() {}
}

/// One ordered rule list of one direction, ready to be programmed.
public struct CompiledPolicy: Sendable, Hashable {
    /// The most pages a policy can have; a longer list fails closed.
    public static let maximumPages = 64

    /// The most rules that a policy can have.
    public static let maximumRules = maximumPages * PageBits.width

    public var id: PolicyID
    public var direction: PolicyDirection
    /// The objects that isolate the selected pods, in order; empty when none does.
    public var isolatedBy: [PolicyName]
    /// The objects that would isolate them if they were not in audit mode, in order; empty where others isolate them.
    public var auditedBy: [PolicyName]
    /// The rules in the order of their bits.
    public var rules: [CompiledRule]
    public var pages: [CompiledPage]
    /// The rules that admit by names, by pattern and in the order of the patterns.
    public var domains: [DomainBits]
    /// Whether it stands for a list that is longer than can be programmed: it isolates, and has no rules.
    public var isTooLong: Bool

    public init(
        id: PolicyID, direction: PolicyDirection, isolatedBy: [PolicyName] = [], auditedBy: [PolicyName] = [],
        rules: [CompiledRule] = [], pages: [CompiledPage] = [],
        domains: [DomainBits] = [], isTooLong: Bool = false
    ) {
        self.id = id
        self.direction = direction
        self.isolatedBy = isolatedBy
        self.auditedBy = auditedBy
        self.rules = rules
        self.pages = pages
        self.domains = domains
        self.isTooLong = isTooLong
    }

    /// Whether what no rule admits is denied.
    public var isolates: Bool { !isolatedBy.isEmpty }

    /// Whether anything of it is in audit mode.
    public var audits: Bool { !auditedBy.isEmpty || rules.contains(where: \.isAudited) }
}
