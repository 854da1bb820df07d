import Addressing
import Foundation
import Kubernetes
import Testing

@Suite("A recorded cluster")
struct RecordedClusterTests {
    static func fixture(_ name: String) throws -> Manifest {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)")
        return Manifest(source: name, bytes: [UInt8](try Data(contentsOf: url)))
    }

    @Test("kubectl's YAML decodes completely")
    func wholeCluster() throws {
        let cluster = try Self.fixture("cluster.yaml")
        let counts = Dictionary(cluster.objects.map { ($0.kind, 1) }, uniquingKeysWith: +)
        #expect(
            counts == [
                .namespace: 7, .node: 3, .pod: 29, .service: 21, .endpointSlice: 27, .networkPolicy: 13,
                .clusterNetworkPolicy: 4, .fqdnNetworkPolicy: 4, .networkLogging: 2,
            ])
        #expect(cluster.diagnostics.isEmpty, "\(cluster.diagnostics)")
    }

    @Test(
        "an API server's JSON list gives the same objects as kubectl's YAML",
        arguments: [
            ("namespaces", ObjectKind.namespace), ("nodes", .node), ("pods", .pod), ("services", .service),
            ("endpointslices", .endpointSlice), ("networkpolicies", .networkPolicy),
            ("clusternetworkpolicies", .clusterNetworkPolicy),
            ("fqdnnetworkpolicies", .fqdnNetworkPolicy), ("networkloggings", .networkLogging),
        ])
    func listsEqualYAML(resource: String, kind: ObjectKind) throws {
        let list = try Self.fixture("\(resource).json")
        let yaml = try Self.fixture("cluster.yaml").objects.filter { $0.kind == kind }
        #expect(list.diagnostics.isEmpty)
        #expect(list.objects.count == yaml.count)
        #expect(Set(list.objects) == Set(yaml))
    }

    static func objects() throws -> [ObjectKey: KubernetesObject] {
        Dictionary(uniqueKeysWithValues: try fixture("cluster.yaml").objects.map { ($0.key, $0) })
    }

    @Test("a finished Pod and a running one may show the same address, but only one holds it")
    func sharedAddress() throws {
        let shared = try address("10.244.2.8")
        let pods = try Self.objects().values.compactMap { if case .pod(let pod) = $0 { pod } else { nil } }
        #expect(pods.filter { $0.addresses.contains(shared) }.count == 2)
        #expect(pods.filter { $0.liveAddresses.contains(shared) }.map(\.meta.name) == ["metrics-store-0"])
    }

    @Test("Pods without a node or an address are whole")
    func oddPods() throws {
        let objects = try Self.objects()
        guard case .pod(let pending) = objects[ObjectKey(.pod, namespace: "shop", name: "gpu-trial")],
            case .pod(let evicted) = objects[ObjectKey(.pod, namespace: "monitoring", name: "scrape-once")],
            case .pod(let cart) = objects[ObjectKey(.pod, namespace: "shop", name: "cart-56656489d9-6qkjj")]
        else { throw WrongKind() }
        #expect(pending.nodeName == nil && pending.phase == .pending && pending.addresses.isEmpty)
        #expect(evicted.nodeName == "node-c" && evicted.isFinished && evicted.addresses.isEmpty)
        #expect(cart.meta.isTerminating && cart.port(named: "mesh-in", protocol: .tcp) == 15006)
        #expect(cart.meta.controller == OwnerReference(kind: "ReplicaSet", name: "cart-56656489d9"))
    }

    @Test("slices without a Service, without endpoints and with unready ones that publish are whole")
    func oddSlices() throws {
        let slices = try Self.objects().values.compactMap { object in
            if case .endpointSlice(let slice) = object { slice } else { nil }
        }
        let orphan = try #require(slices.first { $0.meta.name == "orphan-slice" })
        #expect(orphan.serviceName == nil && orphan.endpoints.isEmpty && orphan.ports == [EndpointPort(port: nil)])
        let database = try #require(slices.first { $0.serviceName == "orders-db" })
        #expect(
            database.endpoints.last?.conditions
                == EndpointConditions(ready: true, serving: false, terminating: false))
        let catalog = slices.filter { $0.serviceName == "catalog" }.flatMap(\.ports)
        #expect(Set(catalog) == [EndpointPort(name: "api", port: 8081), EndpointPort(name: "api", port: 9081)])
    }
}
