import Addressing
import Kubernetes
import Testing

/// The manifest of a text, as if it were a file.
func manifest(_ text: String, file: String = "shop.yaml") -> Manifest {
    Manifest(source: file, bytes: Array(text.utf8))
}

/// The only object of a text that must have no diagnostics.
func onlyObject(_ text: String, file: String = "shop.yaml") throws -> KubernetesObject {
    let manifest = manifest(text, file: file)
    try #require(manifest.diagnostics.isEmpty, "\(manifest.diagnostics)")
    try #require(manifest.objects.count == 1)
    return try #require(manifest.objects.first)
}

func service(_ spec: String) throws -> Service {
    let text = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, \(spec)}"
    guard case .service(let service) = try onlyObject(text) else { throw WrongKind() }
    return service
}

func pod(_ body: String) throws -> Pod {
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop}, \(body)}"
    guard case .pod(let pod) = try onlyObject(text) else { throw WrongKind() }
    return pod
}

func slice(_ body: String) throws -> EndpointSlice {
    let text = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1}, \(body)}"
    guard case .endpointSlice(let slice) = try onlyObject(text) else { throw WrongKind() }
    return slice
}

func policy(_ spec: String) throws -> NetworkPolicy {
    let text = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}, spec: {\(spec)}}"
    guard case .networkPolicy(let policy) = try onlyObject(text) else { throw WrongKind() }
    return policy
}

struct WrongKind: Error {}

func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

func cidr(_ text: String) throws -> CIDR { try #require(CIDR(text)) }
