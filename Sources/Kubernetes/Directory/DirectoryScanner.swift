internal import Foundation
internal import Glibc

/// Finds out which manifests of a directory may have changed, without reading those that did not.
///
/// As `kubectl apply -f DIR` does, it takes the files *.yaml, *.yml and *.json and no subdirectories. Names that start
/// with a dot are skipped, among them the `..data` that a mounted ConfigMap's files point through.
struct DirectoryScanner {
    /// The directory itself can't be read.
    struct Failure: Error {
        let reason: String
    }

    let directory: String
    private var known: [String: FileStamp] = [:]
    /// Files that had a text and are empty now.
    private var emptied: Set<String> = []

    init(directory: String) {
        self.directory = directory
    }

    /// Whether a file of the last scan is gone: the list of the directory says so, no file is looked at.
    var missesFiles: Bool {
        if known.isEmpty { return false }
        guard let names = try? manifestNames() else { return false }
        return !Set(names).isSuperset(of: known.keys)
    }

    /// The files that may have changed since the last scan, and those that are gone.
    mutating func scan() throws(Failure) -> [FileChange] {
        let names = try manifestNames()
        var changes: [FileChange] = []
        var present: Set<String> = []
        for name in names {
            guard let change = look(at: name) else { continue }
            present.insert(name)
            if case .changed(let change) = change { changes.append(change) }
        }
        for name in known.keys.filter({ !present.contains($0) }) {
            known[name] = nil
            emptied.remove(name)
            changes.append(.removed(name: name))
        }
        return changes
    }

    private func manifestNames() throws(Failure) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory).filter { name in
                !name.hasPrefix(".") && [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
            }
        } catch {
            throw Failure(reason: FileStamp.reason(errno: Self.errno(of: error)))
        }
    }

    private enum Look {
        case same
        case changed(FileChange)
    }

    /// What is at a name; nil when there is no file.
    private mutating func look(at name: String) -> Look? {
        let path = directory + "/" + name
        switch FileStamp.read(path) {
        case .failure(let error): return failed(name, error.code)
        case .success(nil): return nil
        case .success(let stamp?):
            if let before = known[name], before.stillHolds(stamp) { return .same }
            return load(name, path, stamp)
        }
    }

    private mutating func failed(_ name: String, _ code: Int32) -> Look? {
        if code == ENOENT {
            guard let target = FileStamp.linkTarget(directory + "/" + name) else { return nil }
            known[name] = .unknown
            return .changed(.unreadable(name: name, reason: "is a link to \(target), which is not there"))
        }
        known[name] = .unknown
        return .changed(.unreadable(name: name, reason: FileStamp.reason(errno: code)))
    }

    /// Reads a file, again if it was written meanwhile; it is taken as it is when that does not end.
    private mutating func load(_ name: String, _ path: String, _ firstStamp: FileStamp) -> Look? {
        var stamp = firstStamp
        var attempts = 4
        while true {
            let data: Data
            do {
                data = try Data(contentsOf: URL(fileURLWithPath: path))
            } catch {
                return failed(name, Self.errno(of: error))
            }
            attempts -= 1
            switch FileStamp.read(path) {
            case .failure(let error): return failed(name, error.code)
            case .success(nil): return nil
            case .success(let after?):
                if after.isSameFile(as: stamp) || attempts == 0 { return .changed(taken(name, data, stamp)) }
                stamp = after
            }
        }
    }

    /// A file that was read. One that is empty now is about to be filled, as a shell's redirection empties it first:
    /// what it had stays in force until it has a text again, or is removed.
    private mutating func taken(_ name: String, _ data: Data, _ stamp: FileStamp) -> FileChange {
        if data.isEmpty, known[name]?.hasText ?? false { emptied.insert(name) }
        if !data.isEmpty { emptied.remove(name) }
        known[name] = stamp
        if emptied.contains(name) {
            return .unreadable(name: name, reason: "is empty: remove the file if nothing in it shall be in force")
        }
        return .content(name: name, bytes: [UInt8](data))
    }

    /// The error number behind an error of Foundation.
    private static func errno(of error: any Error) -> Int32 {
        let outer = error as NSError
        if let inner = outer.userInfo[NSUnderlyingErrorKey] as? NSError, inner.domain == NSPOSIXErrorDomain {
            return Int32(inner.code)
        }
        return CocoaError.Code(rawValue: outer.code) == .fileReadNoSuchFile ? ENOENT : EIO
    }
}
