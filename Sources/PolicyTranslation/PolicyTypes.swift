// `Kubernetes` has types with names of other modules and their types, and hides them: these names need no module.
package import NetworkPolicy

package typealias PolicySelector = LabelSelector
typealias PolicyRequirement = LabelRequirement
typealias PolicyNamedPort = NamedPort
