internal import Foundation
internal import ManifestLint

/// Reads the files that somebody named.
enum ManifestFiles {
    /// The files at some paths, in order and each once; of a directory those that kubectl would apply.
    ///
    /// - Throws: ``CommandError`` when a path does not exist or can't be listed. A file that can't be read is a finding.
    static func read(_ paths: [String]) throws -> [LintFile] {
        var seen: Set<String> = []
        return try paths.flatMap(names).filter { seen.insert($0).inserted }.map(file)
    }

    private static func names(_ path: String) throws -> [String] {
        if path == "-" { return [path] }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw CommandError("there is no file or directory \(path)")
        }
        guard isDirectory.boolValue else { return [path] }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw CommandError("can't list the directory \(path): \(reason(error))")
        }
        let manifests = names.filter { name in
            !name.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
        }
        if manifests.isEmpty { throw CommandError("there is no *.yaml, *.yml or *.json in the directory \(path)") }
        let folder = path.hasSuffix("/") ? path : path + "/"
        return manifests.sorted().map { folder + $0 }
    }

    private static func file(_ name: String) -> LintFile {
        do {
            let data =
                name == "-"
                ? try FileHandle.standardInput.readToEnd() ?? Data() : try Data(contentsOf: URL(fileURLWithPath: name))
            return LintFile(name: name, content: .text([UInt8](data)))
        } catch {
            return LintFile(name: name, content: .unreadable("can't be read: \(reason(error))"))
        }
    }

    /// The system's reason behind an error of Foundation.
    private static func reason(_ error: any Error) -> String {
        let outer = error as NSError
        let inner = outer.userInfo[NSUnderlyingErrorKey] as? NSError ?? outer
        guard inner.domain == NSPOSIXErrorDomain else { return outer.localizedDescription }
        return String(cString: strerror(Int32(inner.code)))
    }
}
