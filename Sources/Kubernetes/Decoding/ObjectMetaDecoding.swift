extension ObjectMeta {
    /// Where `kubectl apply` keeps a copy of the whole manifest: large, and nobody here reads it.
    private static let appliedManifest = "kubectl.kubernetes.io/last-applied-configuration"

    init(_ fields: Fields, kind: ObjectKind) throws(FieldError) {
        self.init(
            name: try fields.required("name", Read.nonEmptyString),
            namespace: try Self.namespace(fields, kind: kind),
            uid: try fields.optional("uid", Read.string) ?? "",
            resourceVersion: try fields.optional("resourceVersion", Read.string) ?? "",
            labels: try fields.strings("labels"),
            annotations: try fields.strings("annotations", except: Self.appliedManifest),
            creationTimestamp: try fields.optional("creationTimestamp", Read.string),
            isTerminating: fields.object["deletionTimestamp"].map { !$0.isNull } ?? false,
            owners: try fields.list("ownerReferences", OwnerReference.init))
    }

    private static func namespace(_ fields: Fields, kind: ObjectKind) throws(FieldError) -> String {
        guard kind.isNamespaced else { return "" }
        // As kubectl does with its default context.
        let written = try fields.optional("namespace", Read.string) ?? ""
        return written.isEmpty ? "default" : written
    }
}

extension ObjectMeta {
    /// Refuses what is neither yes nor no for audit mode: guessing would open a pod, or close it.
    func checkAudit() throws(FieldError) {
        guard let value = annotations[Self.auditAnnotation], value != "true", value != "false" else { return }
        throw FieldError("expected \"true\" or \"false\", got \(value.debugDescription)")
            .inside(.key(Self.auditAnnotation)).inside(.field("annotations"))
    }
}

extension OwnerReference {
    init(_ value: ManifestValue) throws(FieldError) {
        let fields = try Fields(value)
        self.init(
            kind: try fields.required("kind", Read.nonEmptyString),
            name: try fields.required("name", Read.nonEmptyString),
            isController: try fields.optional("controller", Read.boolean) ?? false)
    }
}
