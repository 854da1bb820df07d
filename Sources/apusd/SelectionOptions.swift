public import Agent
public import ArgumentParser
import LoadBalancing

extension BalancingMode: ExpressibleByArgument {}

/// How backends are chosen for clients from outside of the node, and how their answers get there.
struct SelectionOptions: ParsableArguments {
    /// The names of the algorithms.
    enum Algorithm: String, ExpressibleByArgument, CaseIterable {
        case random, maglev
    }

    @Option(
        help: .flag(
            "load-balancer-algorithm",
            "How backends are chosen for clients outside, unless a Service is annotated with another way.",
            default: "random"))
    var loadBalancerAlgorithm: Algorithm?
    @Option(
        help: .flag(
            "load-balancer-mode",
            "How answers of backends on other nodes get to clients outside: snat, by way of this node; dsr, from the backend's node itself; hybrid, so for TCP and SCTP alone.",
            default: BalancingMode.snat.rawValue))
    var loadBalancerMode: BalancingMode?
    @Option(
        help: .flag(
            "maglev-table-size",
            "The slots of a Service's table for maglev: a prime, a hundred times the endpoints of a Service.",
            default: MaglevTable.defaultSize))
    var maglevTableSize: Int?

    func apply(to configuration: inout AgentConfiguration) throws {
        let size = try Environment.value("maglev-table-size", maglevTableSize, default: MaglevTable.defaultSize)
        guard MaglevTable.isPrime(size), size <= MaglevTable.largestSize else {
            throw ValidationError(
                "--maglev-table-size: \(size) is no prime of at most \(MaglevTable.largestSize), as 1021 or 16381")
        }
        configuration.maglevTableSize = size
        configuration.balancing = try Environment.value("load-balancer-mode", loadBalancerMode, default: .snat)
        let algorithm = try Environment.value("load-balancer-algorithm", loadBalancerAlgorithm, default: .random)
        configuration.algorithm = algorithm == .maglev ? .maglev(tableSize: size) : .random
    }
}
