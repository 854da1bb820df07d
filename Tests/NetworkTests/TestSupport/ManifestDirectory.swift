import Foundation
import TestSupport

/// A directory of manifests that tests edit while an agent reads it.
struct ManifestDirectory: Sendable {
    let path: String

    /// A directory of the given files.
    init(_ lab: Lab, name: String = "manifests", _ files: [String: String]) throws {
        path = "\(lab.directory)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for (name, text) in files { try write(name, text) }
    }

    /// A copy of the manifests in `examples/shop`.
    static func shop(_ lab: Lab) throws -> ManifestDirectory { try ManifestDirectory(lab, try shopFiles()) }

    /// The files of `examples/shop` by name.
    static func shopFiles() throws -> [String: String] {
        // From this file's place in the repository: …/Tests/NetworkTests/TestSupport/ManifestDirectory.swift
        let root = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        let shop = root.appendingPathComponent("examples/shop")
        let names = try FileManager.default.contentsOfDirectory(atPath: shop.path).filter { $0.hasSuffix(".yaml") }
        return try names.reduce(into: [:]) { files, name in
            files[name] = try String(contentsOf: shop.appendingPathComponent(name), encoding: .utf8)
        }
    }

    func read(_ name: String) throws -> String { try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }

    /// Replaces or makes a file in one step, as `mv` and editors do.
    func write(_ name: String, _ text: String) throws {
        try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8)
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }

    /// Replaces a part of a file; throws when the part is not there.
    func edit(_ name: String, _ old: String, to new: String) throws {
        let text = try read(name)
        guard text.contains(old) else { throw LabError("edit \(name)", "'\(old)' is not in it") }
        try write(name, text.replacing(old, with: new))
    }
}
