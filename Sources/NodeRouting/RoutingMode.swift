/// How packets get from a pod to the pods of other nodes.
public enum RoutingMode: String, Sendable, Hashable, CaseIterable {
    /// The network routes the ranges of pods, or somebody else makes it: nothing is done.
    case native
    /// By routes to the addresses of the other nodes, which are on a link of this one.
    case direct
    /// In packets between the nodes, over whatever network these have.
    case vxlan
}
