/// One object as an API server sent it.
package struct ReceivedObject: Sendable, Hashable {
    /// What names the object.
    package let key: ObjectKey
    /// The version that the server gives it.
    package let resourceVersion: String
    /// The part that is used; nil when it can't be.
    package let object: KubernetesObject?
    /// What is wrong with it, and what was left out of it.
    package let diagnostics: [SourceDiagnostic]

    package init(key: ObjectKey, resourceVersion: String, object: KubernetesObject?, diagnostics: [SourceDiagnostic]) {
        self.key = key
        self.resourceVersion = resourceVersion
        self.object = object
        self.diagnostics = diagnostics
    }

    /// An object that is as it should be.
    package init(_ object: KubernetesObject) {
        self.init(key: object.key, resourceVersion: object.meta.resourceVersion, object: object, diagnostics: [])
    }

    /// Decodes an object; nil when not even its name is there.
    ///
    /// A field that a manifest must not have is left out here and told: the server has validated the object, so the
    /// field is one of a later version of the kind and no misspelt one, and without the rest of the policy its pods
    /// would be open.
    init?(_ value: ManifestValue, kind: ObjectKind) {
        guard case .object(let object) = value, let (key, version) = Self.identity(of: object, kind: kind) else {
            return nil
        }
        var remaining = value
        var diagnostics: [SourceDiagnostic] = []
        while true {
            do throws(FieldError) {
                let decoded = try KubernetesObject(Fields(remaining), kind: kind)
                self.init(key: key, resourceVersion: version, object: decoded, diagnostics: diagnostics)
                return
            } catch {
                diagnostics.append(Self.diagnostic(error, key))
                guard error.isUnknownField, diagnostics.count <= Self.mostUnknownFields else {
                    self.init(key: key, resourceVersion: version, object: nil, diagnostics: diagnostics)
                    return
                }
                remaining = error.removingField(from: remaining)
            }
        }
    }

    /// Decoding starts anew after each one that is left out.
    private static let mostUnknownFields = 16

    private static func diagnostic(_ error: FieldError, _ key: ObjectKey) -> SourceDiagnostic {
        SourceDiagnostic(
            error.isUnknownField ? .unknownField : .invalidObject, source: key.path, key: key, fieldPath: error.path,
            message: error.isUnknownField
                ? "is not known to this version of Apus: the object is in force without it" : error.message)
    }

    /// What names an object, and its version; nil when there is no name.
    static func identity(of object: ManifestObject, kind: ObjectKind) -> (ObjectKey, version: String)? {
        guard case .object(let meta) = object["metadata"], let name = meta["name"]?.text, !name.isEmpty else {
            return nil
        }
        let namespace = kind.isNamespaced ? meta["namespace"]?.text ?? "" : ""
        return (ObjectKey(kind, namespace: namespace, name: name), meta["resourceVersion"]?.text ?? "")
    }
}
