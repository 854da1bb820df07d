extension PolicyJudgement {
    /// Where the packet is denied, what an admitting rule would have to say, and which rule comes closest.
    ///
    /// - Parameters:
    ///   - peer: the other end for people.
    ///   - port: the protocol and port for people, `TCP 81`.
    public func shortcoming(peer: String, port: String) -> String? {
        if allowed { return nil }
        switch reason {
        case .isolation:
            let candidates = rules.filter { $0.tier == .networkPolicy }
            let missing = "no rule of the NetworkPolicy tier admits \(peer) on \(port)"
            return missing + (Self.closest(candidates).map { "; closest: \($0)" } ?? "; there is none at all")
        case .rule:
            guard let deciding = rules.last else { return nil }
            let earlier = rules.dropLast().filter { $0.tier == deciding.tier && ["allow", "pass"].contains($0.action) }
            let missing = "no rule before \(deciding.text) accepts \(peer) on \(port)"
            return missing + (Self.closest(earlier).map { "; closest: \($0)" } ?? "")
        case .broken: return "the policies must be mended: until then all that they judge is denied"
        case .closed: return "`apus status` says why the policy is not in the maps"
        case .ownTraffic, .localNode, .nothing: return nil
        }
    }

    /// The rule that admits most: the peer but not the port first, then the port but not the peer.
    private static func closest(_ rules: [Rule]) -> String? {
        if let rule = rules.first(where: { $0.admitsPeer && !$0.admitsPort }) {
            return "\(rule.text) admits the peer, but " + (rule.admits.map { "only \($0.ports)" } ?? "not the port")
        }
        if let rule = rules.first(where: { $0.admitsPort && !$0.admitsPeer }) {
            return "\(rule.text) admits the port, but " + (rule.admits.map { "only \($0.peers)" } ?? "not the peer")
        }
        return rules.first.map { "\($0.text) admits neither the peer nor the port" }
    }
}
