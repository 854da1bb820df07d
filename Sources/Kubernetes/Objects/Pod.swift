public import Addressing

/// A Pod: where it runs, its addresses and its named ports.
public struct Pod: Sendable, Hashable {
    /// The phases of a pod's life.
    public enum Phase: String, Sendable, Hashable, CaseIterable {
        case pending = "Pending"
        case running = "Running"
        case succeeded = "Succeeded"
        case failed = "Failed"
        case unknown = "Unknown"
    }

    /// The name and the labels.
    public var meta: ObjectMeta
    /// The node the pod is bound to, nil until it is scheduled.
    public var nodeName: String?
    /// Whether the pod shares the node's network namespace and so the node's addresses.
    public var usesHostNetwork: Bool
    /// Where the pod is in its life; pending where there is no status.
    public var phase: Phase
    /// The addresses in the status; a finished pod keeps them there although another pod may have them by now.
    public var addresses: [IPAddress]
    /// The ports of all containers, then those of sidecars (init containers that are always restarted).
    public var ports: [ContainerPort]
    /// Whether the pod's `Ready` condition is true.
    public var isReady: Bool

    /// A pod; everything but the metadata has an empty default.
    public init(
        meta: ObjectMeta, nodeName: String? = nil, usesHostNetwork: Bool = false, phase: Phase = .pending,
        addresses: [IPAddress] = [], ports: [ContainerPort] = [], isReady: Bool = false
    ) {
        self.meta = meta
        self.nodeName = nodeName
        self.usesHostNetwork = usesHostNetwork
        self.phase = phase
        self.addresses = addresses
        self.ports = ports
        self.isReady = isReady
    }

    /// Whether the pod has ended, so that the addresses in its status are no longer its own.
    public var isFinished: Bool { phase == .succeeded || phase == .failed }

    /// The addresses that the pod holds now: none once it has finished.
    public var liveAddresses: [IPAddress] { isFinished ? [] : addresses }

    /// The number of the first port with this name and protocol, nil when the pod has none.
    public func port(named name: String, protocol ipProtocol: IPProtocol) -> Port? {
        ports.first { $0.name == name && $0.ipProtocol == ipProtocol }?.port
    }
}

/// One port that a container declares.
public struct ContainerPort: Sendable, Hashable {
    /// The name that Services and policies may refer to; empty when the port has none.
    public var name: String
    /// The transport protocol.
    public var ipProtocol: IPProtocol
    /// The port number inside the pod.
    public var port: Port

    /// A port of a container.
    public init(name: String = "", protocol ipProtocol: IPProtocol = .tcp, port: Port) {
        self.name = name
        self.ipProtocol = ipProtocol
        self.port = port
    }
}
