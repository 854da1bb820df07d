/// A NetworkLogging (`networking.gke.io/v1alpha1`) as written: which decisions of policies are logged.
public struct NetworkLogging: Sendable, Hashable {
    /// What is logged of the decisions of one kind.
    public struct Choice: Sendable, Hashable {
        /// Whether any are logged.
        public var log: Bool
        /// Whether policies, or namespaces, say by annotations which ones; else all are logged.
        public var delegate: Bool

        /// A choice; by default nothing is logged.
        public init(log: Bool = false, delegate: Bool = false) {
            self.log = log
            self.delegate = delegate
        }
    }

    /// The name of the one object that counts.
    public static let name = "default"

    /// The name.
    public var meta: ObjectMeta
    /// Of connections that policies allow.
    public var allow: Choice
    /// Of connections that policies deny.
    public var deny: Choice

    /// An object.
    public init(meta: ObjectMeta, allow: Choice = Choice(), deny: Choice = Choice()) {
        self.meta = meta
        self.allow = allow
        self.deny = deny
    }
}

extension ObjectMeta {
    /// Whether connections that this policy allows are logged where logging is delegated to policies.
    public var logsAllowed: Bool { annotations["policy.network.gke.io/enable-logging"] == "true" }

    /// Whether what is denied to pods of this namespace is logged where logging is delegated to namespaces.
    public var logsDenied: Bool { annotations["policy.network.gke.io/enable-deny-logging"] == "true" }
}
