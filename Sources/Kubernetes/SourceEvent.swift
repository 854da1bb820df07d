/// One change of the desired state.
public enum ObjectChange: Sendable, Hashable {
    /// The object is new or different; a different `uid` under the same key is a new incarnation.
    case upsert(KubernetesObject)
    /// The object is gone.
    case delete(ObjectKey)

    /// The key of the object that changed.
    public var key: ObjectKey {
        switch self {
        case .upsert(let object): object.key
        case .delete(let key): key
        }
    }
}

/// What a source of desired state says.
public enum SourceEvent: Sendable, Hashable {
    /// Changes that belong together, at most one for each key; deletions come first.
    case changes([ObjectChange])
    /// The first full listing has been told: what has not been named does not exist.
    case synced
    /// Something in the source that is not as it should be; the rest of the source is in force.
    case diagnostic(SourceDiagnostic)
    /// A file or resource that diagnostics had named was read anew: those no longer hold, new ones follow if need be.
    case forgiven(source: String)
    /// Just this diagnostic no longer holds, whatever else is wrong with its source.
    case resolved(SourceDiagnostic)
    /// How the source stands with one kind of objects now; only from sources that can lose their origin.
    case standing(ObjectKind, KindStanding)
}

/// How a source stands with one kind of objects.
public struct KindStanding: Sendable, Hashable {
    /// Whether all objects of the kind have been told once.
    public var isSynced: Bool
    /// Whether changes are followed now.
    public var isConnected: Bool
    /// Why they are not, or what should be known all the same; nil when nothing should.
    public var problem: String?

    /// A standing; the empty one is that of a source that has just begun.
    public init(isSynced: Bool = false, isConnected: Bool = false, problem: String? = nil) {
        self.isSynced = isSynced
        self.isConnected = isConnected
        self.problem = problem
    }
}

/// A source of desired state: an API server or a directory, and nothing behind this seam knows which.
///
/// Changes come in batches that take the listener from one consistent view to the next.
public protocol ObjectSource: AsyncSequence where Element == SourceEvent, Failure == Never {}

/// Something that is wrong in a source, with its place.
public struct SourceDiagnostic: Error, Sendable, Hashable {
    /// What kind of trouble it is.
    public enum Problem: String, Sendable, Hashable, CaseIterable {
        /// The directory or a file can't be read.
        case unreadable
        /// A document is no YAML or JSON, or no object at all.
        case syntax
        /// An object that Apus reads has a wrong or missing field.
        case invalidObject
        /// An object is there twice; the first one counts.
        case duplicate
        /// An API server's policy has a field that this version does not know; what the field is in is closed, and
        /// the rest in force.
        case unknownField
        /// A part of an API server's policy, or the annotation of a Namespace, is wrong; it is closed, and the rest in
        /// force.
        case closedPart
        /// Objects of a kind that Apus does not read; told once for each kind.
        case ignoredKind
        /// A manifest's object has a field that is none of its kind, and no policy's; told once for each such field.
        case ignoredField
    }

    /// The kind of trouble.
    public var problem: Problem
    /// The file or resource.
    public var source: String
    /// The document in the file, counted from 1.
    public var document: Int?
    /// The object, where the document says enough to tell.
    public var key: ObjectKey?
    /// What is known of an object without a key, such as its kind.
    public var subject: String?
    /// The way to the field, for example `spec.ports[0].port`.
    public var fieldPath: String?
    /// What is wrong, as an end of a sentence.
    public var message: String
    /// Whether what was there before the trouble stays in force in its place.
    public var keepsLastGood = false
    /// The objects whose last good version stays in force, as far as they are known.
    public var keptKeys: Set<ObjectKey> = []

    /// A diagnostic.
    public init(
        _ problem: Problem, source: String, document: Int? = nil, key: ObjectKey? = nil, subject: String? = nil,
        fieldPath: String? = nil, message: String
    ) {
        self.problem = problem
        self.source = source
        self.document = document
        self.key = key
        self.subject = subject
        self.fieldPath = fieldPath
        self.message = message
    }

    /// Whether the object is in force, with a part of it closed.
    public var isClosing: Bool { problem == .unknownField || problem == .closedPart }

    /// Whether this only informs: nothing that should be in force is missing.
    public var isNotice: Bool { problem == .ignoredKind || problem == .ignoredField }
}

extension SourceDiagnostic: CustomStringConvertible {
    /// `shop.yaml: document 3: Service shop/web: spec.ports[0].port: expected …`.
    public var description: String {
        [source, document.map { "document \($0)" }, key?.description ?? subject, fieldPath, message]
            .compactMap { $0 }.joined(separator: ": ")
            + (keepsLastGood ? Self.keptNote : "")
    }

    /// What is wrong with which field, and what is in force instead, for people who know the place and the object.
    public var explanation: String {
        [fieldPath, message].compactMap { $0 }.joined(separator: ": ") + (keepsLastGood ? Self.keptNote : "")
    }

    private static let keptNote = " (the last good version stays in force)"
}
