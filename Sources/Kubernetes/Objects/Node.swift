public import Addressing

/// A Node: its addresses and the ranges its pods get theirs from.
public struct Node: Sendable, Hashable {
    /// The name and the labels.
    public var meta: ObjectMeta
    /// The node's IP addresses in the order of its status; host and DNS names are left out.
    public var addresses: [NodeAddress]
    /// The ranges of the node's pods, one for each family.
    public var podCIDRs: [CIDR]

    /// The keys of the node's taints.
    public var taints: [String]
    /// What the condition `NetworkUnavailable` says; nil without one that says yes or no.
    public var networkIsUnavailable: Bool?

    /// A node.
    public init(
        meta: ObjectMeta, addresses: [NodeAddress] = [], podCIDRs: [CIDR] = [], taints: [String] = [],
        networkIsUnavailable: Bool? = nil
    ) {
        self.meta = meta
        self.addresses = addresses
        self.podCIDRs = podCIDRs
        self.taints = taints
        self.networkIsUnavailable = networkIsUnavailable
    }

    /// Whether the node is being deleted, or the cluster autoscaler is about to.
    public var isLeaving: Bool { meta.isTerminating || taints.contains("ToBeDeletedByClusterAutoscaler") }

    /// The first address of each family, an internal one before all external ones: those that the node is known by.
    public var primaryAddresses: [IPAddress] {
        let ordered = addresses.filter { $0.kind == .internalIP } + addresses.filter { $0.kind == .externalIP }
        return [true, false].compactMap { isIPv4 in ordered.first { $0.address.isIPv4 == isIPv4 }?.address }
    }

    /// The zone label of the node, nil without one.
    public var zone: String? { meta.labels["topology.kubernetes.io/zone"] }
}

/// One IP address of a node.
public struct NodeAddress: Sendable, Hashable {
    /// Where an address of a node can be reached from.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case internalIP = "InternalIP"
        case externalIP = "ExternalIP"
    }

    /// Where it can be reached from.
    public var kind: Kind
    /// The address.
    public var address: IPAddress

    /// An address of a node.
    public init(_ kind: Kind, _ address: IPAddress) {
        self.kind = kind
        self.address = address
    }
}
