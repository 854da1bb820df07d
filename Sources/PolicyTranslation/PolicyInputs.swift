package import Kubernetes
package import NetworkPolicy

/// What the objects of the cluster say to the policy compiler, batch by batch.
package struct PolicyInputs: Sendable {
    private var namespaces = NamespaceLabels()
    private var nodePeers = NodePeers()

    /// The inputs of no object yet.
    package init() {}

    /// What a batch of changes says.
    package mutating func apply(_ changes: [ObjectChange]) -> [PolicyInput] {
        let direct = changes.compactMap { change in
            switch change {
            case .upsert(let object): PolicyInput(object)
            case .delete(let key): PolicyInput(deleted: key)
            }
        }
        return namespaces.apply(changes) + direct + nodePeers.apply(changes)
    }
}
