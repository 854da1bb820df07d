// `Kubernetes` has a type with the name of the module, and hides it: this name needs no module.
internal import LoadBalancing

typealias ServiceBalancer = LoadBalancer
