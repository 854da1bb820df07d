// `Kubernetes` has types with names of other modules and their types, and hides them: these names need no module.
internal import LoadBalancing
internal import NetworkPolicy

typealias ServiceBalancer = LoadBalancer

typealias PolicySelector = LabelSelector
typealias PolicyRequirement = LabelRequirement
typealias PolicyNamedPort = NamedPort
