import Foundation
import Yams

/// What is in `deploy`, as values.
enum Deploy {
    /// The repository, from this file's place in it.
    static let root = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    static func object(_ path: String) throws -> [String: Any] { try parse(try text(path)) }

    static func parse(_ yaml: String) throws -> [String: Any] {
        guard let object = try Yams.load(yaml: yaml) as? [String: Any] else { throw CocoaError(.coderReadCorrupt) }
        return object
    }

    /// The files that the kustomization names.
    static func resources() throws -> [String] {
        try object("deploy/manifests/kustomization.yaml")["resources"] as? [String] ?? []
    }

    static func manifest(_ name: String) throws -> Tree { Tree(try object("deploy/manifests/\(name).yaml")) }
}

/// A value of YAML that is walked by keys and indexes; nil where the way ends.
struct Tree {
    let value: Any?

    init(_ value: Any?) { self.value = value }

    subscript(key: String) -> Tree { Tree((value as? [String: Any])?[key]) }
    subscript(index: Int) -> Tree { list.indices.contains(index) ? list[index] : Tree(nil) }

    var list: [Tree] { (value as? [Any] ?? []).map(Tree.init) }
    var keys: [String] { (value as? [String: Any] ?? [:]).keys.sorted() }
    var text: String? { value as? String }
    var number: Int? { value as? Int }
    var flag: Bool? { value as? Bool }
    var strings: [String] { list.compactMap(\.text) }

    /// The same value in one way of writing it, for comparisons.
    var canonical: String { (try? Yams.dump(object: value, sortKeys: true)) ?? "unwritable" }
}
