import APIServerSupport
import Foundation
import Yams

/// The objects of a directory of YAML manifests, as an API server would hold them.
struct ManifestObjects {
    /// One object: the path of its list, its name, and its JSON.
    struct Item {
        let resource: String
        let namespace: String
        let name: String
        let json: String

        var key: String { "\(resource) \(namespace)/\(name)" }
    }

    static let resources: [String: String] = [
        "Namespace": "/api/v1/namespaces", "Node": "/api/v1/nodes", "Pod": "/api/v1/pods",
        "Service": "/api/v1/services", "EndpointSlice": "/apis/discovery.k8s.io/v1/endpointslices",
        "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
        "ClusterNetworkPolicy": "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
        "FQDNNetworkPolicy": "/apis/networking.gke.io/v1alpha1/fqdnnetworkpolicies",
        "NetworkLogging": "/apis/networking.gke.io/v1alpha1/networkloggings",
    ]

    /// Reads all of them.
    static func read(_ directory: String) throws -> [Item] {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".yaml") }
        return try names.sorted().flatMap { name in
            let text = try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
            return try Yams.load_all(yaml: text).compactMap { $0 as? [String: Any] }.flatMap(items)
        }
    }

    private static func items(_ object: [String: Any]) throws -> [Item] {
        let kind = object["kind"] as? String ?? ""
        if let inner = object["items"] as? [[String: Any]] { return try inner.flatMap(items) }
        guard let resource = resources[kind], var meta = object["metadata"] as? [String: Any],
            let name = meta["name"] as? String
        else { return [] }
        var object = object
        let isNamespaced = !["Namespace", "Node", "ClusterNetworkPolicy", "NetworkLogging"].contains(kind)
        let namespace = isNamespaced ? meta["namespace"] as? String ?? "default" : ""
        if isNamespaced { meta["namespace"] = namespace }
        object["metadata"] = meta.mapValues(jsonValue)
        let json = try JSONSerialization.data(withJSONObject: object.mapValues(jsonValue), options: .sortedKeys)
        return [
            Item(resource: resource, namespace: namespace, name: name, json: String(decoding: json, as: UTF8.self))
        ]
    }

    /// A value of YAML as JSON has it: times become text.
    private static func jsonValue(_ value: Any) -> Any {
        switch value {
        case let object as [String: Any]: object.mapValues(jsonValue)
        case let list as [Any]: list.map(jsonValue)
        case let date as Date: date.formatted(.iso8601)
        default: value
        }
    }
}
