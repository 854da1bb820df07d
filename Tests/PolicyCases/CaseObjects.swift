internal import Addressing

/// The fields of the cases' own objects as the API names them; what is nil is left out.
struct Object: Encodable {
    var apiVersion: String
    var kind: String
    var metadata: Metadata
    var spec: Specification?
    var status: Status?
}

struct Metadata: Encodable {
    var name: String
    var namespace: String?
    var uid: String?
    var labels: [String: String]
}

struct Specification: Encodable {
    var nodeName: String
    var hostNetwork: Bool?
    var containers: [Container]
}

struct Container: Encodable {
    var name: String
    var image: String
    var ports: [ContainerPort]
}

struct ContainerPort: Encodable {
    var name: String
    var containerPort: Port
    var `protocol`: String
}

struct Status: Encodable {
    var phase: String?
    var podIP: String?
    var podIPs: [PodAddress]?
    var addresses: [NodeAddress]?
}

struct PodAddress: Encodable { var ip: String }

struct NodeAddress: Encodable {
    var type: String
    var address: String
}
