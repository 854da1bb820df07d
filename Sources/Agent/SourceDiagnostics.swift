internal import Kubernetes

/// What is wrong in the sources now, until it is mended.
struct SourceDiagnostics: Sendable {
    /// Enough for a person; the count goes on.
    private static let capacity = 256

    private var entries: [SourceDiagnostic] = []
    /// How many there have been.
    private(set) var total: UInt64 = 0

    /// What is wrong now, in the order in which it was found.
    var current: [SourceDiagnostic] { entries }

    /// Whether objects may be missing from the view: what is merely there twice, or in force without a field, hides
    /// nothing.
    var hidesObjects: Bool { entries.contains { $0.problem != .duplicate && $0.problem != .unknownField } }

    /// Whether a policy, or what policies select by, may be missing.
    var hidesPolicies: Bool {
        entries.contains { entry in
            switch entry.problem {
            case .duplicate, .unknownField, .ignoredKind, .ignoredField: false
            case .unreadable, .syntax: true
            case .invalidObject: entry.key.map { ![.service, .endpointSlice].contains($0.kind) } ?? true
            }
        }
    }

    /// How many files or resources have something that can't be read as any object.
    var unreadable: [SourceDiagnostic.Problem: Int] {
        let lost = entries.filter { $0.key == nil }
        return Dictionary(grouping: lost, by: \.problem).mapValues { Set($0.map(\.source)).count }
    }

    /// Takes in a diagnostic.
    mutating func note(_ diagnostic: SourceDiagnostic) {
        total += 1
        guard !diagnostic.isNotice, entries.count < Self.capacity else { return }
        entries.append(diagnostic)
    }

    /// Forgets what was wrong with a source that was read anew; that it has what another file has is told by itself.
    mutating func forgive(_ source: String) {
        entries.removeAll { $0.source == source && !$0.isOfTwoFiles }
    }

    /// Forgets just this one.
    mutating func resolve(_ diagnostic: SourceDiagnostic) {
        entries.removeAll { $0 == diagnostic }
    }

    /// What is wrong with the newest version of an object, so that an older one, or none, is in force.
    func rejections(of key: ObjectKey) -> [SourceDiagnostic] {
        entries.filter { $0.keptKeys.contains(key) || $0.key == key && $0.problem == .invalidObject }
    }
}

extension SourceDiagnostic {
    /// Whether it is about an object that another file has too: reading one of the two anew does not mend that.
    fileprivate var isOfTwoFiles: Bool { problem == .duplicate && document == nil }
}
