public import Addressing
public import LoadBalancing
public import NetworkPolicy

/// What the maps say about themselves.
public struct DatapathInfo: Sendable, Hashable {
    public var abiVersion: UInt32
    /// The node's name.
    public var node: String
    /// When the maps were made, in nanoseconds since 1970.
    public var createdAt: UInt64

    public init(abiVersion: UInt32, node: String, createdAt: UInt64) {
        self.abiVersion = abiVersion
        self.node = node
        self.createdAt = createdAt
    }
}

/// A pod by its name and UID.
public struct EndpointName: Sendable, Hashable, CustomStringConvertible {
    public var namespace: String
    public var name: String
    public var uid: String

    public init(namespace: String, name: String, uid: String) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }

    /// `shop/cart-1`.
    public var description: String { "\(namespace)/\(name)" }
}

/// A pod of this node in the maps.
public struct EndpointReading: Sendable, Hashable {
    public var slot: UInt32
    /// Nil when its name is not in the maps.
    public var name: EndpointName?
    public var addresses: [IPAddress]
    /// The host's side of the pod's link.
    public var interface: UInt32
    /// The bridge that the interface is a port of.
    public var bridge: UInt32?
    /// The pod's end of the link; nil when the source of frames is not checked.
    public var mac: MACAddress?
    /// The host's end of the link.
    public var hostMAC: MACAddress
    public var identity: UInt32
    public var generation: UInt32
    /// The policies; nil where none applies and everything may pass.
    public var ingress: PolicyID?
    public var egress: PolicyID?
    /// Whether packets are delivered to it without the host's stack, if the data path does that.
    public var canRedirect: Bool

    public init(
        slot: UInt32, name: EndpointName? = nil, addresses: [IPAddress], interface: UInt32, bridge: UInt32? = nil,
        mac: MACAddress? = nil,
        hostMAC: MACAddress, identity: UInt32, generation: UInt32, ingress: PolicyID? = nil, egress: PolicyID? = nil,
        canRedirect: Bool
    ) {
        self.slot = slot
        self.name = name
        self.addresses = addresses
        self.interface = interface
        self.bridge = bridge
        self.mac = mac
        self.hostMAC = hostMAC
        self.identity = identity
        self.generation = generation
        self.ingress = ingress
        self.egress = egress
        self.canRedirect = canRedirect
    }
}

/// A Service's port by its name.
public struct ServicePortName: Sendable, Hashable, CustomStringConvertible {
    public var namespace: String
    public var name: String
    /// Empty for the unnamed port of a Service with only one.
    public var portName: String

    public init(namespace: String, name: String, portName: String) {
        self.namespace = namespace
        self.name = name
        self.portName = portName
    }

    /// `shop/cart:http`, without the port's name when it has none.
    public var description: String { "\(namespace)/\(name)" + (portName.isEmpty ? "" : ":\(portName)") }
}

/// A frontend in the maps.
public struct ServiceReading: Sendable, Hashable {
    public var frontend: SocketAddress
    public var ipProtocol: IPProtocol
    /// Nil when its name is not in the maps.
    public var name: ServicePortName?
    /// Why the Service has the frontend; nil when the maps hold no known kind.
    public var kind: FrontendKind?
    /// Where connections go, in the order of the slots; empty when they are refused.
    public var backends: [SocketAddress]
    /// Those for clients from outside of the node; nil: the same, or none may come.
    public var outside: [SocketAddress]?
    /// The clients that may connect, in order; empty: all may.
    public var sourceRanges: [CIDR]
    /// For how many seconds after its last new connection a client keeps its backend; nil: it keeps none.
    public var affinitySeconds: UInt32?
    /// The places of the table by which clients from outside are led to backends; nil: chance leads them.
    public var maglevTableSize: Int?

    public init(
        frontend: SocketAddress, ipProtocol: IPProtocol, name: ServicePortName? = nil,
        kind: FrontendKind? = .clusterIP, backends: [SocketAddress], outside: [SocketAddress]? = nil,
        sourceRanges: [CIDR] = [], affinitySeconds: UInt32? = nil, maglevTableSize: Int? = nil
    ) {
        self.maglevTableSize = maglevTableSize
        self.outside = outside
        self.sourceRanges = sourceRanges
        self.frontend = frontend
        self.ipProtocol = ipProtocol
        self.name = name
        self.kind = kind
        self.backends = backends
        self.affinitySeconds = affinitySeconds
    }
}

/// A rule of a policy in the maps.
public struct PolicyRuleReading: Sendable, Hashable {
    public var index: UInt32
    /// `kind/namespace/name/direction/index` and `/rule name` if it has one; nil when its name is not in the maps.
    public var text: String?
    public var tier: PolicyTier
    public var action: PolicyAction
    /// Whether it denies in audit mode: what it matches is reported and not denied.
    public var isAudited: Bool

    public init(index: UInt32, text: String? = nil, tier: PolicyTier, action: PolicyAction, isAudited: Bool = false) {
        self.isAudited = isAudited
        self.index = index
        self.text = text
        self.tier = tier
        self.action = action
    }

    /// The tier for people.
    public var tierText: String {
        switch tier {
        case .admin: "admin"
        case .networkPolicy: "network-policy"
        case .baseline: "baseline"
        }
    }
}

/// An endpoint that a policy applies to.
public struct PolicyUse: Sendable, Hashable {
    public var slot: UInt32
    /// Nil when its name is not in the maps.
    public var name: EndpointName?
    public var direction: TrafficDirection

    public init(slot: UInt32, name: EndpointName? = nil, direction: TrafficDirection) {
        self.slot = slot
        self.name = name
        self.direction = direction
    }
}

/// A policy in the maps.
public struct PolicyReading: Sendable, Hashable {
    public var id: PolicyID
    /// Whether what no rule of the NetworkPolicy tier allows is denied.
    public var isolates: Bool
    /// Whether that is reported and left to the Baseline tier, as what isolates is in audit mode.
    public var auditsRest: Bool
    /// What isolates, or would, `kind/namespace/name/direction/isolation`; nil when nothing does or its name is not in
    /// the maps.
    public var isolationText: String?
    /// The rules in the order in which they are asked.
    public var rules: [PolicyRuleReading]
    /// The endpoints that it applies to, by slot.
    public var uses: [PolicyUse]
    /// Whether it stands for more rules than can be programmed, and has none: all that it judges is dropped.
    public var isTooLong: Bool

    public init(
        id: PolicyID, isolates: Bool, auditsRest: Bool = false, isolationText: String? = nil,
        rules: [PolicyRuleReading], uses: [PolicyUse], isTooLong: Bool = false
    ) {
        self.id = id
        self.isolates = isolates
        self.auditsRest = auditsRest
        self.isolationText = isolationText
        self.rules = rules
        self.uses = uses
        self.isTooLong = isTooLong
    }
}

/// What was dropped for one reason in one direction since the maps were made.
public struct DropCount: Sendable, Hashable {
    public var reason: DropReason
    public var direction: TrafficDirection
    public var dropped: TrafficCount

    public init(reason: DropReason, direction: TrafficDirection, dropped: TrafficCount) {
        self.reason = reason
        self.direction = direction
        self.dropped = dropped
    }
}

/// How many event records there were since the maps were made.
public struct EventCounters: Sendable, Hashable {
    public var submitted: UInt64
    /// Records for which the ring buffer had no room.
    public var lost: UInt64
    /// Openings that passed because a policy is in audit mode; not records.
    public var audited: UInt64

    public init(submitted: UInt64, lost: UInt64, audited: UInt64 = 0) {
        self.audited = audited
        self.submitted = submitted
        self.lost = lost
    }
}

/// A map as a whole.
public struct MapSummary: Sendable, Hashable {
    public var name: String
    /// bpftool's name of the type.
    public var type: String
    /// Bytes of a key and of a value; of one CPU's value in per-CPU maps.
    public var keySize: Int
    public var valueSize: Int
    /// Entries in use, in arrays elements that are not zero; nil where the kernel can't tell.
    public var entries: Int?
    /// The most entries; bytes of a ring buffer.
    public var capacity: Int

    public init(name: String, type: String, keySize: Int, valueSize: Int, entries: Int? = nil, capacity: Int) {
        self.name = name
        self.type = type
        self.keySize = keySize
        self.valueSize = valueSize
        self.entries = entries
        self.capacity = capacity
    }
}

/// An entry of a map for people.
public struct MapRow: Sendable, Hashable {
    public var key: String
    public var value: String

    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}
