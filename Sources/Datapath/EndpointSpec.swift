public import Addressing
public import NetworkPolicy

/// A pod of this node with the interface that leads to it.
public struct EndpointSpec: Sendable, Hashable {
    public var pod: PodKey
    /// The pod object's UID: another one is another endpoint, with another identity. So is one that has lost an
    /// address.
    public var uid: String
    /// At most one of each family; more are ignored.
    public var addresses: [IPAddress]
    /// The host's side of the pod's link.
    public var interface: UInt32
    /// The bridge that the interface is a port of.
    public var bridge: UInt32?
    /// The pod's end of the link; without it the source of frames is not checked.
    public var mac: MACAddress?
    /// The host's end of the link.
    public var hostMAC: MACAddress
    /// Whether the interface is a veth, into whose peer packets can be redirected.
    public var canRedirect: Bool

    public init(
        pod: PodKey, uid: String, addresses: [IPAddress], interface: UInt32, bridge: UInt32? = nil,
        mac: MACAddress?, hostMAC: MACAddress, canRedirect: Bool
    ) {
        self.pod = pod
        self.uid = uid
        self.addresses = addresses
        self.interface = interface
        self.bridge = bridge
        self.mac = mac
        self.hostMAC = hostMAC
        self.canRedirect = canRedirect
    }
}

/// A change of the pods of this node.
public enum EndpointEdit: Sendable, Hashable {
    case upsert(EndpointSpec)
    case remove(PodKey)

    /// The pod that changes.
    public var pod: PodKey {
        switch self {
        case .upsert(let spec): spec.pod
        case .remove(let pod): pod
        }
    }
}

/// A pod of this node and the number by which the data path tells it from all others that there ever were.
public struct NumberedPod: Sendable, Hashable {
    public var number: UInt32
    public var namespace: String
    public var name: String
    public var uid: String
}

/// Who an endpoint is, as its entry in `names` keeps it: `namespace/name/uid`.
struct EndpointIdentityName: Hashable {
    let pod: PodKey
    let uid: String

    init(pod: PodKey, uid: String) {
        self.pod = pod
        self.uid = uid
    }

    /// Nil when the text has another form.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        self.init(pod: PodKey(namespace: parts[0], name: parts[1]), uid: parts[2])
    }

    var text: String { "\(pod.namespace)/\(pod.name)/\(uid)" }
}
