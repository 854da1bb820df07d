/// How much a policy compiler has looked at: one change must cost what it touches, whatever the size of the cluster.
public struct PolicyWork: Sendable, Hashable {
    /// Pods asked which selectors match them.
    public var pods = 0
    /// Selectors of peers and policies asked whether they match a pod.
    public var selectors = 0
    /// Addresses asked for their class.
    public var addresses = 0
    /// Pods of this node whose lists of rules were made anew.
    public var lists = 0

    public init(pods: Int = 0, selectors: Int = 0, addresses: Int = 0, lists: Int = 0) {
        self.pods = pods
        self.selectors = selectors
        self.addresses = addresses
        self.lists = lists
    }

    public static func - (left: PolicyWork, right: PolicyWork) -> PolicyWork {
        PolicyWork(
            pods: left.pods - right.pods, selectors: left.selectors - right.selectors,
            addresses: left.addresses - right.addresses, lists: left.lists - right.lists)
    }
}
