public import DomainNames

/// Which rules of a policy admit an address that was learned under a name that the pattern matches.
public struct DomainBits: Sendable, Hashable {
    public var pattern: DomainPattern
    public var bits: RuleBits

    public init(pattern: DomainPattern, bits: RuleBits) {
        self.pattern = pattern
        self.bits = bits
    }
}

extension MatcherTable {
    /// The patterns among the atoms of a policy, in order.
    func domainBits(_ bitsByAtom: [Atom: RuleBits]) -> [DomainBits] {
        let found = bitsByAtom.compactMap { atom, bits -> DomainBits? in
            guard case .domain(let pattern) = self[atom.matcher]?.key.base else { return nil }
            return DomainBits(pattern: pattern, bits: bits)
        }
        return found.sorted { $0.pattern < $1.pattern }
    }
}
