/// A policy case of the fixtures: policies in a cluster, and perhaps changes of them one after the other.
package struct PolicyCase: Sendable {
    /// What it shows, as a sentence.
    package var sentence: String
    /// The cluster as it is first, and after each change.
    package var steps: [PolicyStep]
}

/// One state of a case's cluster.
package struct PolicyStep: Sendable {
    /// The case's sentence, and what has changed if it is not the first step.
    package var name: String
    /// The manifests of the policies and other objects in JSON, by kind and name.
    package var manifests: [String: String] = [:]
    /// More labels of namespaces (`x`) and pods (`x/a`).
    package var labels: [String: [String: String]] = [:]
    /// The names, protocols and numbers of pods' ports (`x/a`), where they are not those of the cluster.
    package var ports: [String: [String]] = [:]
    /// Namespaces (`x`), with all that is in them, and pods (`x/a`) that are not there.
    package var gone: Set<String> = []
    /// Whether a pod, or its namespace, is not there.
    package func isGone(_ pod: String) -> Bool {
        gone.contains(pod) || gone.contains(String(pod.prefix { $0 != "/" }))
    }

    /// The lines that say by hand who reaches whom; nil where only the oracle does.
    package var written: [String]?

    /// A state without policies.
    package init(name: String) { self.name = name }
}
