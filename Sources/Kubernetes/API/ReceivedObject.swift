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
    /// The server has validated the object, by rules that this version may not know: a part of a policy that can't be
    /// read is closed and told, and the rest is in force, as without it the pods that it selects would be open.
    init?(_ value: ManifestValue, kind: ObjectKind) {
        guard case .object(let object) = value, let (key, version) = Self.identity(of: object, kind: kind) else {
            return nil
        }
        let closing = PolicyClosing(kind)
        var remaining = value
        var diagnostics: [SourceDiagnostic] = []
        while true {
            do throws(FieldError) {
                let decoded = try KubernetesObject(Fields(remaining), kind: kind)
                self.init(key: key, resourceVersion: version, object: decoded, diagnostics: diagnostics)
                return
            } catch {
                let isTooMuch = diagnostics.count == Self.mostClosedParts
                let closed =
                    diagnostics.count > Self.mostClosedParts
                    ? nil : isTooMuch ? closing.closeAll(in: remaining) : closing.close(error, in: remaining)
                diagnostics.append(SourceDiagnostic(error, key, closed?.consequence))
                guard let closed else {
                    self.init(key: key, resourceVersion: version, object: nil, diagnostics: diagnostics)
                    return
                }
                remaining = closed.value
            }
        }
    }

    /// Decoding starts anew after each one that is closed.
    private static let mostClosedParts = 64

    /// What names an object, and its version; nil when there is no name.
    static func identity(of object: ManifestObject, kind: ObjectKind) -> (ObjectKey, version: String)? {
        guard case .object(let meta) = object["metadata"], let name = meta["name"]?.text, !name.isEmpty else {
            return nil
        }
        let namespace = kind.isNamespaced ? meta["namespace"]?.text ?? "" : ""
        return (ObjectKey(kind, namespace: namespace, name: name), meta["resourceVersion"]?.text ?? "")
    }
}

extension SourceDiagnostic {
    /// What is wrong with an object of an API server, and what closing that part of it does; nil: it is refused.
    fileprivate init(_ error: FieldError, _ key: ObjectKey, _ consequence: String?) {
        let problem: Problem =
            consequence == nil ? .invalidObject : error.isUnknownField ? .unknownField : .closedPart
        let message = error.isUnknownField ? "is not known to this version of Apus" : error.message
        self.init(
            problem, source: key.path, key: key, fieldPath: error.path,
            message: message + (consequence.map { ": \($0)" } ?? ""))
    }
}
