internal import Addressing
internal import Kubernetes
internal import NetworkPolicy
internal import PolicyTranslation

/// What the manifests have that policies can speak of.
struct LintWorld {
    /// Pods on the pod network that have not finished.
    let pods: [Pod]
    /// The labels of every namespace that has an object or pods.
    let namespaces: [String: [String: String]]
    let nodes: [Node]

    init(_ objects: [KubernetesObject], _ inputs: [PolicyInput]) {
        var pods: [Pod] = []
        var nodes: [Node] = []
        for object in objects {
            switch object {
            case .pod(let pod) where !pod.usesHostNetwork && !pod.isFinished: pods.append(pod)
            case .node(let node): nodes.append(node)
            default: break
            }
        }
        var namespaces: [String: [String: String]] = [:]
        for case .namespace(let name, let labels, _) in inputs { namespaces[name] = labels }
        self.pods = pods
        self.namespaces = namespaces
        self.nodes = nodes
    }

    /// Manifests without any pod, as those of a policy repository, say nothing about what a selector matches.
    var knowsPods: Bool { !pods.isEmpty }
    var knowsNodes: Bool { !nodes.isEmpty }

    /// - Parameters:
    ///   - hasPolicies: whether there are policies that can be checked.
    ///   - hasFindings: whether there is something else to tell, as a policy that can't be read.
    func notes(hasPolicies: Bool, hasFindings: Bool) -> [String] {
        if !hasPolicies { return hasFindings ? [] : ["no policy in the manifests: nothing to check"] }
        if knowsPods { return [] }
        return ["no Pod in the manifests: what selectors match, and named ports, are not checked"]
    }

    /// The pods of a set.
    func pods(_ set: LintedPods) -> [Pod] {
        pods.filter { pod in
            set.pods.matches(pod.meta.labels) && contains(set.namespaces, pod.meta.namespace)
        }
    }

    /// Whether any namespace is in a scope.
    func hasNamespace(in scope: LintedPods.Namespaces) -> Bool { namespaces.keys.contains { contains(scope, $0) } }

    private func contains(_ scope: LintedPods.Namespaces, _ name: String) -> Bool {
        switch scope {
        case .own(let own): name == own
        case .selected(let selector): namespaces[name].map(selector.matches) ?? false
        }
    }
}

/// Pods as policies speak of them.
struct LintedPods {
    /// The namespaces that they are in.
    enum Namespaces {
        case own(String)
        case selected(PolicySelector)
    }

    var namespaces: Namespaces
    var pods: PolicySelector
}
