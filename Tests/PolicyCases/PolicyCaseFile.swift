internal import Foundation
internal import Yams

/// The fixtures in `Cases`: each file is a list of cases; its README says what they may hold.
package enum PolicyCaseFile {
    /// Something that a fixture must not hold.
    package struct Problem: Error, CustomStringConvertible {
        package let description: String
    }

    private static let read = Result { try readAll() }

    /// All cases, by file and in the order in which they are written.
    package static func all() throws -> [PolicyCase] { try read.get() }

    private static func readAll() throws -> [PolicyCase] {
        let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases")
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".yaml") }
        return try files.sorted().flatMap { name in
            let text = try String(contentsOf: directory.appendingPathComponent(name), encoding: .utf8)
            guard let entries = try Yams.load(yaml: text) as? [Any] else {
                throw Problem(description: "\(name): no list")
            }
            return try entries.flatMap { try cases(of: try members($0)) }
        }
    }

    /// The cases of one entry: as many as `each` has combinations of values.
    private static func cases(of entry: [String: Any]) throws -> [PolicyCase] {
        var bindings: [[String: Any]] = [[:]]
        for (name, values) in try members(entry["each"] ?? [:]).sorted(by: { $0.key < $1.key }) {
            let choices = try members(values).sorted { $0.key < $1.key }.map { [name: $1, "\(name).name": $0] }
            bindings = bindings.flatMap { binding in choices.map { binding.merging($0) { $1 } } }
        }
        return try bindings.map { try policyCase(try members(substitute($0, in: entry))) }
    }

    private static func policyCase(_ entry: [String: Any]) throws -> PolicyCase {
        guard let sentence = entry["case"] as? String else { throw Problem(description: "a case without a sentence") }
        var step = PolicyStep(name: sentence)
        try change(&step, by: entry)
        var steps = [step]
        for later in entry["then"] as? [Any] ?? [] {
            let fields = try members(later)
            guard let change = fields["change"] as? String else { throw Problem(description: "\(sentence): no change") }
            step.name = "\(sentence); \(change)"
            try self.change(&step, by: fields)
            steps.append(step)
        }
        return PolicyCase(sentence: sentence, steps: steps)
    }

    private static func change(_ step: inout PolicyStep, by fields: [String: Any]) throws {
        let known = ["case", "change", "each", "policies", "objects", "labels", "ports", "gone", "expect", "then"]
        if let other = fields.keys.first(where: { !known.contains($0) }) {
            throw Problem(description: "\(step.name): unknown field \(other)")
        }
        for (key, spec) in try members(fields["policies"] ?? [:]) {
            step.manifests[key] = spec is NSNull ? nil : try policy(key, spec)
        }
        for (key, object) in try members(fields["objects"] ?? [:]) {
            step.manifests[key] = object is NSNull ? nil : try json(object)
        }
        for (key, labels) in try members(fields["labels"] ?? [:]) {
            step.labels[key] = try members(labels).mapValues { "\($0)" }
        }
        for (key, ports) in try members(fields["ports"] ?? [:]) { step.ports[key] = ports as? [String] }
        if let gone = fields["gone"] as? [String] { step.gone = Set(gone) }
        step.written = fields["expect"] as? [String]
    }

    /// The manifest of `NetworkPolicy x/name` or `ClusterNetworkPolicy name`.
    private static func policy(_ key: String, _ spec: Any) throws -> String {
        let words = key.split(separator: " ")
        let name = words.last?.split(separator: "/").map(String.init) ?? []
        switch (words.first, name.count) {
        case ("NetworkPolicy", 2):
            return try json([
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec,
                "metadata": ["namespace": name[0], "name": name[1]],
            ])
        case ("ClusterNetworkPolicy", 1):
            return try json([
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "spec": spec,
                "metadata": ["name": name[0]],
            ])
        default: throw Problem(description: "'\(key)' is no policy")
        }
    }

    private static func members(_ value: Any) throws -> [String: Any] {
        guard let members = value as? [AnyHashable: Any] else {
            throw Problem(description: "expected fields: \(value)")
        }
        return Dictionary(uniqueKeysWithValues: members.map { ("\($0.key)", $0.value) })
    }

    /// Puts values in the place of `$name`: the value itself where nothing else is in the string.
    private static func substitute(_ values: [String: Any], in tree: Any) -> Any {
        switch tree {
        case let text as String:
            if let value = values.first(where: { text == "$\($0.key)" })?.value { return value }
            // The longer names first: `$peer.name` is not `$peer`.
            return values.sorted { $0.key.count > $1.key.count }.reduce(text) {
                $0.replacingOccurrences(of: "$\($1.key)", with: "\($1.value)")
            }
        case let list as [Any]: return list.map { substitute(values, in: $0) }
        case let members as [AnyHashable: Any]:
            return Dictionary(
                uniqueKeysWithValues: members.map { key, value in
                    (AnyHashable("\(substitute(values, in: key.base))"), substitute(values, in: value))
                })
        default: return tree
        }
    }

    private static func json(_ value: Any) throws -> String {
        let data = try JSONSerialization.data(withJSONObject: plain(value), options: [.sortedKeys])
        return String(decoding: data, as: UTF8.self)
    }

    /// The value with the keys that JSON takes.
    private static func plain(_ value: Any) -> Any {
        switch value {
        case let list as [Any]: list.map(plain)
        case let members as [AnyHashable: Any]:
            Dictionary(uniqueKeysWithValues: members.map { ("\($0.key)", plain($0.value)) })
        default: value
        }
    }
}
