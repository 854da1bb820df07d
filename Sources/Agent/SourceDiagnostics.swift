internal import Kubernetes

/// What is wrong in the sources now, until it is mended.
///
/// All of it is kept, as what may be in force depends on it, and it is no more than the sources have documents and
/// objects; only what is shown is bounded.
struct SourceDiagnostics: Sendable {
    /// Enough for a person; of the others the number is told.
    private static let shownCount = 256

    /// By source, each with its place in the order in which they were found.
    private var entries: [String: [SourceDiagnostic: UInt64]] = [:]
    /// How many there have been.
    private(set) var total: UInt64 = 0

    /// What is wrong now, in the order in which it was found.
    var all: [SourceDiagnostic] { entries.values.joined().sorted { $0.value < $1.value }.map(\.key) }

    /// The first of it, as many as a person can read, and the number of the others.
    var shown: (first: [SourceDiagnostic], others: Int) {
        let all = self.all
        return (Array(all.prefix(Self.shownCount)), max(0, all.count - Self.shownCount))
    }

    /// Whether objects may be missing from the view: what is merely there twice, or in force with a part closed, hides
    /// nothing.
    var hidesObjects: Bool { contains { $0.problem != .duplicate && !$0.isClosing } }

    /// Whether a policy, or what policies select by, may be missing.
    var hidesPolicies: Bool { contains(\.hidesPolicies) }

    /// What may keep a policy from a pod, or what is to judge it: the first of it. The policies of another namespace, and
    /// another pod's object, are none of that.
    func hidingPolicies(ofPod name: String, in namespace: String) -> SourceDiagnostic? {
        all.first { entry in
            guard entry.hidesPolicies, let key = entry.key else { return entry.hidesPolicies }
            return switch key.kind {
            case .networkPolicy, .fqdnNetworkPolicy: key.namespace == namespace
            case .pod: key.namespace == namespace && key.name == name
            default: true
            }
        }
    }

    /// How many files or resources have something that can't be read as any object.
    var unreadable: [SourceDiagnostic.Problem: Int] {
        entries.values.reduce(into: [:]) { counts, found in
            for problem in Set(found.keys.filter { $0.key == nil }.map(\.problem)) { counts[problem, default: 0] += 1 }
        }
    }

    /// Takes in a diagnostic.
    mutating func note(_ diagnostic: SourceDiagnostic) {
        total += 1
        if !diagnostic.isNotice { entries[diagnostic.source, default: [:]][diagnostic] = total }
    }

    /// Forgets what was wrong with a source that was read anew; that it has what another file has is told by itself.
    mutating func forgive(_ source: String) {
        let left = entries[source]?.filter(\.key.isOfTwoFiles) ?? [:]
        entries[source] = left.isEmpty ? nil : left
    }

    /// Forgets just this one.
    mutating func resolve(_ diagnostic: SourceDiagnostic) {
        entries[diagnostic.source]?[diagnostic] = nil
        if entries[diagnostic.source]?.isEmpty == true { entries[diagnostic.source] = nil }
    }

    /// What is wrong with the newest version of an object, so that an older one, or none, is in force.
    func rejections(of key: ObjectKey) -> [SourceDiagnostic] {
        all.filter { $0.keptKeys.contains(key) || $0.key == key && $0.problem == .invalidObject }
    }

    /// What is closed of objects that are in force.
    var closings: [SourceDiagnostic] { all.filter(\.isClosing) }

    /// What is closed of an object that is in force.
    func closings(of key: ObjectKey) -> [SourceDiagnostic] { closings.filter { $0.key == key } }

    /// The versions of an object that are ignored, as another one counts.
    func duplicates(of key: ObjectKey) -> [SourceDiagnostic] {
        all.filter { $0.key == key && $0.problem == .duplicate }
    }

    private func contains(_ isWanted: (SourceDiagnostic) -> Bool) -> Bool {
        entries.values.contains { $0.keys.contains(where: isWanted) }
    }
}

extension SourceDiagnostic {
    /// Whether a policy, or what policies select by, may be missing.
    fileprivate var hidesPolicies: Bool {
        switch problem {
        case .duplicate, .unknownField, .closedPart, .ignoredKind, .ignoredField: false
        case .unreadable, .syntax: true
        case .invalidObject: key.map { ![.service, .endpointSlice].contains($0.kind) } ?? true
        }
    }

    /// Whether it is about an object that another file has too: reading one of the two anew does not mend that.
    fileprivate var isOfTwoFiles: Bool { problem == .duplicate && document == nil }
}
