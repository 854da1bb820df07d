public import Addressing

/// What a client connects to: a Service's address, port and protocol.
public struct Frontend: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let address: IPAddress
    public let port: Port
    public let ipProtocol: IPProtocol

    public init(address: IPAddress, port: Port, ipProtocol: IPProtocol) {
        self.address = address
        self.port = port
        self.ipProtocol = ipProtocol
    }

    /// All that no Service has of a Service's address: connections to it are refused.
    public static func rest(of address: IPAddress) -> Frontend {
        Frontend(address: address, port: 0, ipProtocol: IPProtocol(rawValue: 0))
    }

    /// Whether it stands for all that no Service has of its address.
    public var isRest: Bool { port == 0 }

    /// `TCP 10.96.0.10:80`.
    public var description: String {
        isRest ? "other ports of \(address)" : "\(ipProtocol) \(SocketAddress(address, port))"
    }

    public static func < (left: Frontend, right: Frontend) -> Bool {
        (left.address, left.port, left.ipProtocol) < (right.address, right.port, right.ipProtocol)
    }
}

/// Why a Service has a frontend. Of several that want one the first in this order gets it, so that nobody takes a
/// ClusterIP, or what a load balancer was given, by writing it into `externalIPs`.
public enum FrontendKind: Sendable, Hashable, Comparable, CaseIterable {
    case clusterIP, loadBalancer, externalIP, nodePort
}

/// One endpoint's port that connections to a frontend may end at.
public struct Backend: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let address: SocketAddress

    public init(address: SocketAddress) { self.address = address }

    public var description: String { address.description }

    public static func < (left: Backend, right: Backend) -> Bool { left.address < right.address }
}

/// What the data path does with connections to one frontend.
public struct ServiceProgram: Sendable, Equatable {
    public let service: ServiceName
    public let portName: String
    public let kind: FrontendKind
    /// The backends, sorted and unique; empty means that connections are refused.
    public let backends: [Backend]
    /// Those for clients from outside of the node; empty where it is not for them, and where traffic stays on nodes with
    /// an endpoint and this is none.
    public let outside: [Backend]
    /// Whether it is for clients from outside of the node: a ClusterIP may be for those inside alone.
    public let isForOutside: Bool
    /// Whether nobody has a backend here as traffic stays on nodes with an endpoint, and others are such nodes: clients
    /// from outside are dropped then, and not refused.
    public let isServedElsewhere: Bool
    /// Of UDP, the endpoints that still serve and get nothing new here, sorted and unique: what goes to them stays.
    public let kept: [Backend]
    /// The clients that may connect; empty: all may.
    public let sourceRanges: Set<CIDR>
    /// Whether the node's own processes are among them.
    public let admitsNode: Bool
    /// For how many seconds after its last new connection a client keeps its backend, on all ports; nil: it keeps none.
    public let affinitySeconds: UInt32?
    /// The places of the table by which clients from outside are led to backends; nil: chance leads them.
    public let maglevTableSize: Int?

    public init(
        service: ServiceName, portName: String, kind: FrontendKind = .clusterIP, backends: [Backend],
        outside: [Backend] = [], isForOutside: Bool? = nil, isServedElsewhere: Bool = false, kept: [Backend] = [],
        sourceRanges: Set<CIDR> = [], admitsNode: Bool = true, affinitySeconds: UInt32? = nil,
        maglevTableSize: Int? = nil
    ) {
        self.service = service
        self.portName = portName
        self.kind = kind
        self.backends = backends
        self.outside = outside
        self.isForOutside = isForOutside ?? (kind != .clusterIP)
        self.isServedElsewhere = isServedElsewhere
        self.kept = kept
        self.sourceRanges = sourceRanges
        self.admitsNode = admitsNode
        self.affinitySeconds = affinitySeconds
        self.maglevTableSize = maglevTableSize
    }
}

/// A change of the objects that Services are made of.
public enum ServiceInput: Sendable, Equatable {
    case upsertService(ServiceDefinition)
    case removeService(ServiceName)
    case upsertSlice(EndpointSliceDefinition)
    case removeSlice(SliceName)
    /// The zone of this node, as its Node object says; nil without one.
    case nodeZone(String?)
    /// The addresses of this node that node ports are on.
    case nodeAddresses(Set<IPAddress>)
    /// The addresses that connections of this node's own processes come from.
    case nodeSources(Set<IPAddress>)
    /// The addresses of all nodes: what no Service has of one is the node's, also where a Service has the address.
    case addressesOfNodes(Set<IPAddress>)
}

/// A change of what the data path must do; each frontend occurs at most once in one answer.
public enum ServiceEdit: Sendable, Equatable {
    case set(Frontend, ServiceProgram)
    case remove(Frontend)

    /// The frontend that changes.
    public var frontend: Frontend {
        switch self {
        case .set(let frontend, _), .remove(let frontend): frontend
        }
    }
}

/// Something in a Service or EndpointSlice that can't be programmed as it is written.
public struct ServiceProblem: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The object that suffers, e.g. `Service shop/cart`.
    public let object: String
    /// What is wrong, as one clause.
    public let reason: String

    public init(object: String, reason: String) {
        self.object = object
        self.reason = reason
    }

    public var description: String { "\(object): \(reason)" }

    public static func < (left: ServiceProblem, right: ServiceProblem) -> Bool {
        (left.object, left.reason) < (right.object, right.reason)
    }
}
