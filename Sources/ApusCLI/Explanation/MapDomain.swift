internal import Addressing
internal import AgentAPI

/// A name of the DNS as the maps know it, for the pods of this node.
struct MapDomain {
    private let explanation: DomainExplanation
    private let endpoints: [EndpointRow]

    init(_ datapath: any DatapathView, name: String) throws {
        endpoints = try datapath.endpoints()
        explanation = try datapath.domain(named: name)
    }

    /// The addresses that the egress policy of a pod holds under the name now.
    func addresses(for source: IPAddress) -> [IPAddress] {
        guard let policy = egressPolicy(at: source) else { return [] }
        let held = explanation.learned.filter { $0.policy == policy }.flatMap(\.addresses)
        return held.filter { $0.remaining > 0 }.compactMap { IPAddress($0.address) }.sorted()
    }

    /// The patterns in force of its egress policy that match the name.
    func patterns(for source: IPAddress) -> [PolicyJudgement.Pattern] {
        guard let policy = egressPolicy(at: source) else { return [] }
        return explanation.matches.filter { $0.policy == policy && $0.isInForce }.flatMap { match in
            match.rules.map { PolicyJudgement.Pattern(pattern: match.pattern, rule: $0) }
        }.sorted()
    }

    private func egressPolicy(at address: IPAddress) -> String? {
        endpoints.first { $0.addresses.contains("\(address)") }?.egressPolicy
    }
}
