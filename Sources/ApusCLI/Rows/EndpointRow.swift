/// A pod of this node.
package struct EndpointRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case namespace, pod, uid, addresses, interface, mac, identity, slot, generation, redirect, closed
        case interfaceIndex = "interface_index"
        case ingressPolicy = "ingress_policy"
        case egressPolicy = "egress_policy"
    }

    /// The pod's names; nil when they are not in the maps.
    package var namespace: String?
    package var pod: String?
    package var uid: String?
    package var addresses: [String]
    /// The host's end of its link; nil when there is no such interface here.
    package var interface: String?
    package var interfaceIndex: UInt32
    package var mac: String?
    /// Unique while the maps live, so that a pod that takes over an address is another one.
    package var identity: UInt32
    package var slot: Int
    /// Changes when its connections must be judged again.
    package var generation: UInt32
    /// The policy that judges what enters; nil when everything may.
    package var ingressPolicy: String?
    package var egressPolicy: String?
    /// Whether packets are delivered without the host's stack.
    package var redirect: Bool
    /// The directions in which everything is dropped, as their policy is not in the maps, or has more rules than can be
    /// programmed; nil when there are none.
    package var closed: [String]?

    package init(
        namespace: String?, pod: String?, uid: String?, addresses: [String], interface: String?, interfaceIndex: UInt32,
        mac: String?, identity: UInt32, slot: Int, generation: UInt32, ingressPolicy: String?, egressPolicy: String?,
        redirect: Bool, closed: [String]? = nil
    ) {
        self.namespace = namespace
        self.pod = pod
        self.uid = uid
        self.addresses = addresses
        self.interface = interface
        self.interfaceIndex = interfaceIndex
        self.mac = mac
        self.identity = identity
        self.slot = slot
        self.generation = generation
        self.ingressPolicy = ingressPolicy
        self.egressPolicy = egressPolicy
        self.redirect = redirect
        self.closed = closed
    }

    package static let absence = "no endpoints: no pod of this node is known to the data path"

    package static let columns: [Column<EndpointRow>] = [
        Column("NAMESPACE") { $0.namespace ?? "" },
        Column("POD") { $0.pod ?? "" },
        Column("ADDRESSES") { $0.addresses.joined(separator: ",") },
        Column("INTERFACE") { $0.interface ?? "#\($0.interfaceIndex)" },
        Column("IDENTITY", number: true) { "\($0.identity)" },
        Column("INGRESS") { $0.verdicts($0.ingressPolicy, "ingress") },
        Column("EGRESS") { $0.verdicts($0.egressPolicy, "egress") },
    ]

    private func verdicts(_ policy: String?, _ direction: String) -> String {
        guard let policy else { return "open" }
        return closed?.contains(direction) == true ? "\(policy) (closed)" : policy
    }
}
