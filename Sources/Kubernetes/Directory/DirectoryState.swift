/// What happened to one file of a directory.
public enum FileChange: Sendable, Hashable {
    /// The file is there with this text, which may be the one it had.
    case content(name: String, bytes: [UInt8])
    /// The file is there but can't be read.
    case unreadable(name: String, reason: String)
    /// The file is gone.
    case removed(name: String)

    /// The file's name.
    public var name: String {
        switch self {
        case .content(let name, _), .unreadable(let name, _), .removed(let name): name
        }
    }
}

/// The objects of a directory of manifests, as a state machine over the texts of its files.
///
/// An object that several files have counts in the first of them by name. An object whose new text is wrong keeps its
/// last good version; a document that can't be read at all keeps all that its file had. Only text that is good and
/// does not have an object any more deletes it.
public struct DirectoryState: Sendable {
    private struct File: Sendable {
        var objects: [ObjectKey: KubernetesObject] = [:]
        /// Of the text that was decoded last; nil makes the next text be decoded.
        var fingerprint: Fingerprint?
        /// Why the file could not be read the last time.
        var unreadable: String?
        /// Whether something was wrong with it the last time.
        var hasProblems = false
    }

    /// Stands for a text; two texts of one length share it by a chance of 2⁻⁶⁴.
    private struct Fingerprint: Sendable, Hashable {
        let count: Int
        let hash: Int

        init(_ bytes: [UInt8]) {
            count = bytes.count
            var hasher = Hasher()
            bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
            hash = hasher.finalize()
        }
    }

    private var files: [String: File] = [:]
    /// The files that have a key, sorted: the first one's object is in force.
    private var claims: [ObjectKey: [String]] = [:]
    /// The kinds and fields that are ignored and were told.
    private var toldSubjects: Set<String> = []

    /// The state of an empty directory.
    public init() {}

    /// The objects in force.
    public var objects: [ObjectKey: KubernetesObject] {
        claims.keys.reduce(into: [:]) { $0[$1] = objectInForce($1) }
    }

    /// The keys of the objects in force.
    var keys: Set<ObjectKey> { Set(claims.keys) }

    /// Takes in what happened to some files at once, and tells what that changes: nothing for texts that are the same.
    public mutating func apply(_ changes: [FileChange]) -> [SourceEvent] {
        var batch = Batch()
        for change in changes.sorted(by: { $0.name < $1.name }) {
            switch change {
            case .content(let name, let bytes): read(bytes, of: name, into: &batch)
            case .unreadable(let name, let reason): markUnreadable(name, reason, in: &batch)
            case .removed(let name): remove(name, in: &batch)
            }
        }
        let objectChanges = self.changes(since: batch)
        let events = objectChanges.isEmpty ? [] : [SourceEvent.changes(objectChanges)]
        let duplicates = duplicates(batch)
        return batch.forgiven.map(SourceEvent.forgiven) + duplicates.gone.map(SourceEvent.resolved) + events
            + (batch.diagnostics + duplicates.new).map(SourceEvent.diagnostic)
    }
}

extension DirectoryState {
    /// What is put together during one `apply`.
    private struct Batch {
        /// How the keys that were touched stood before: the files that had them, and the object in force.
        var before: [ObjectKey: (files: [String], object: KubernetesObject?)] = [:]
        var diagnostics: [SourceDiagnostic] = []
        /// Files whose former diagnostics no longer hold.
        var forgiven: [String] = []

        mutating func forgive(_ file: inout File, _ name: String) {
            if file.hasProblems { forgiven.append(name) }
            file.hasProblems = false
        }
    }

    private func objectInForce(_ key: ObjectKey) -> KubernetesObject? {
        claims[key]?.first.flatMap { files[$0]?.objects[key] }
    }

    private mutating func read(_ bytes: [UInt8], of name: String, into batch: inout Batch) {
        var file = files[name] ?? File()
        file.unreadable = nil
        let fingerprint = Fingerprint(bytes)
        defer { files[name] = file }
        if file.fingerprint == fingerprint { return }
        file.fingerprint = fingerprint
        batch.forgive(&file, name)

        let manifest = Manifest(source: name, bytes: bytes)
        var objects = Dictionary(manifest.objects.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        var kept: Set<ObjectKey> = []
        for (key, object) in file.objects where objects[key] == nil {
            guard manifest.hasUnknownParts || manifest.brokenKeys.contains(key) else { continue }
            objects[key] = object
            kept.insert(key)
        }
        let before = batch.diagnostics.count
        report(manifest, kept: kept, in: &batch)
        file.hasProblems = batch.diagnostics.count > before
        replace(file.objects, by: objects, in: name, &batch)
        file.objects = objects
    }

    private mutating func markUnreadable(_ name: String, _ reason: String, in batch: inout Batch) {
        var file = files[name] ?? File()
        defer { files[name] = file }
        if file.unreadable == reason { return }
        batch.forgive(&file, name)
        file.hasProblems = true
        file.unreadable = reason
        file.fingerprint = nil
        var diagnostic = SourceDiagnostic(.unreadable, source: name, message: reason)
        diagnostic.keep(Set(file.objects.keys))
        batch.diagnostics.append(diagnostic)
    }

    private mutating func remove(_ name: String, in batch: inout Batch) {
        guard var file = files[name] else { return }
        batch.forgive(&file, name)
        replace(file.objects, by: [:], in: name, &batch)
        files[name] = nil
    }
}

extension DirectoryState {
    private mutating func report(
        _ manifest: Manifest, kept: Set<ObjectKey>, in batch: inout Batch
    ) {
        for var diagnostic in manifest.diagnostics {
            switch diagnostic.problem {
            case .ignoredKind, .ignoredField:
                guard toldSubjects.insert(diagnostic.subject ?? "").inserted else { continue }
            case .duplicate:
                break
            case .invalidObject, .syntax, .unreadable, .unknownField, .closedPart:
                diagnostic.keep(diagnostic.key.map { kept.intersection([$0]) } ?? kept)
            }
            batch.diagnostics.append(diagnostic)
        }
    }

    /// Moves the claims of a file from its old objects to its new ones, and notes the keys where they differ.
    private mutating func replace(
        _ old: [ObjectKey: KubernetesObject], by new: [ObjectKey: KubernetesObject], in name: String,
        _ batch: inout Batch
    ) {
        for (key, object) in old where new[key] != object { note(key, in: &batch) }
        for key in new.keys where old[key] == nil { note(key, in: &batch) }
        for key in old.keys where new[key] == nil {
            claims[key]?.removeAll { $0 == name }
            if claims[key]?.isEmpty == true { claims[key] = nil }
        }
        for key in new.keys where old[key] == nil {
            let position = claims[key]?.firstIndex { $0 > name } ?? claims[key]?.count ?? 0
            claims[key, default: []].insert(name, at: position)
        }
    }

    private func note(_ key: ObjectKey, in batch: inout Batch) {
        if batch.before[key] == nil { batch.before[key] = (claims[key] ?? [], objectInForce(key)) }
    }

    /// Deletions first, so that an address that moves from one object to another is free when it is taken.
    private func changes(since batch: Batch) -> [ObjectChange] {
        var deletions: [ObjectKey] = []
        var upserts: [KubernetesObject] = []
        for (key, before) in batch.before {
            let after = objectInForce(key)
            if after == before.object { continue }
            if let after { upserts.append(after) } else { deletions.append(key) }
        }
        return deletions.sorted().map(ObjectChange.delete)
            + upserts.map { ($0.key, $0) }.sorted { $0.0 < $1.0 }.map { .upsert($0.1) }
    }

    /// The objects that are there twice since the batch, and those that are not any more, or because of another file.
    private func duplicates(_ batch: Batch) -> (new: [SourceDiagnostic], gone: [SourceDiagnostic]) {
        var result: (new: [SourceDiagnostic], gone: [SourceDiagnostic]) = ([], [])
        for (key, before) in batch.before.sorted(by: { $0.key < $1.key }) {
            let (old, now) = (
                Self.duplicates(of: key, in: before.files), Self.duplicates(of: key, in: claims[key] ?? [])
            )
            result.new += now.filter { !old.contains($0) }
            result.gone += old.filter { !now.contains($0) }
        }
        return result
    }

    private static func duplicates(of key: ObjectKey, in claimants: [String]) -> [SourceDiagnostic] {
        claimants.dropFirst().map {
            SourceDiagnostic(.duplicate, source: $0, key: key, message: "ignored, \(claimants[0]) has it already")
        }
    }
}

extension SourceDiagnostic {
    /// Says what stays in force in spite of it.
    fileprivate mutating func keep(_ keys: Set<ObjectKey>) {
        (keepsLastGood, keptKeys) = (!keys.isEmpty, keys)
    }
}
