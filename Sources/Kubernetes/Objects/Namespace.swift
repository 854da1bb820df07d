/// A Namespace: only its metadata counts, for the labels that namespace selectors look at.
public struct Namespace: Sendable, Hashable {
    /// The name and the labels.
    public var meta: ObjectMeta

    /// A namespace.
    public init(meta: ObjectMeta) {
        self.meta = meta
    }
}
