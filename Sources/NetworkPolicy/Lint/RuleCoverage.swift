internal import Addressing
internal import DomainNames

/// Whether one rule matches all that another one does, or nothing of it, as far as it follows from the objects alone.
struct RuleCoverage {
    let namespaces: NamespaceCoverage

    /// Whether `rule` matches every packet that `other` matches; the pods that they speak of are not looked at.
    func covers(_ rule: SourceRule, _ other: SourceRule) -> Bool {
        coversPeers(rule.peers, other.peers) && Self.coversPorts(rule.ports, other.ports)
    }

    /// Whether no packet is matched by both.
    func excludes(_ rule: SourceRule, _ other: SourceRule) -> Bool {
        excludesPeers(rule.peers, other.peers) || Self.excludesPorts(rule.ports, other.ports)
    }

    // MARK: Peers

    private func coversPeers(_ peers: [PeerBase]?, _ others: [PeerBase]?) -> Bool {
        guard let peers, !Self.isEveryone(peers) else { return true }
        guard let others else { return false }
        return others.allSatisfy { other in peers.contains { covers($0, other) } }
    }

    private func covers(_ peer: PeerBase, _ other: PeerBase) -> Bool {
        switch (peer, other) {
        case (.pods(let pods), .pods(let others)): namespaces.covers(pods, others)
        case (.block(let block), .block(let other)): block.covers(other)
        case (.domain(let pattern), .domain(let other)): pattern == other || pattern.form == .everything
        case (.hostResolvers, .hostResolvers): true
        case (.pods, _), (.block, _), (.domain, _), (.hostResolvers, _): false
        }
    }

    private func excludesPeers(_ peers: [PeerBase]?, _ others: [PeerBase]?) -> Bool {
        guard let peers, let others else { return false }
        return peers.allSatisfy { peer in others.allSatisfy { excludes(peer, $0) } }
    }

    private func excludes(_ peer: PeerBase, _ other: PeerBase) -> Bool {
        switch (peer, other) {
        case (.pods(let pods), .pods(let others)): namespaces.excludes(pods, others)
        case (.block(let block), .block(let other)): !block.block.overlaps(other.block)
        // Any address of a block may be a pod's, and a name may have any address.
        case (.pods, _), (.block, _), (.domain, _), (.hostResolvers, _): false
        }
    }

    /// Whether a list has every address of both families, pods' included.
    private static func isEveryone(_ peers: [PeerBase]) -> Bool {
        let whole = peers.compactMap { peer -> CIDR? in
            guard case .block(let block) = peer, block.exceptions.isEmpty, block.block.length == 0 else { return nil }
            return block.block
        }
        return Set(whole.map(\.address.isIPv4)).count == 2
    }

    // MARK: Ports

    private static func coversPorts(_ ports: [PortRule]?, _ others: [PortRule]?) -> Bool {
        guard let ports else { return true }
        guard let others else { return false }
        return others.allSatisfy { other in ports.contains { $0.covers(other) } }
    }

    private static func excludesPorts(_ ports: [PortRule]?, _ others: [PortRule]?) -> Bool {
        guard let ports, let others else { return false }
        return ports.allSatisfy { port in others.allSatisfy { port.excludes($0) } }
    }
}

extension AddressBlock {
    fileprivate func covers(_ other: AddressBlock) -> Bool {
        block.contains(other.block)
            && exceptions.allSatisfy { exception in
                !exception.overlaps(other.block) || other.exceptions.contains { $0.contains(exception) }
            }
    }
}

extension CIDR {
    fileprivate func overlaps(_ other: CIDR) -> Bool { contains(other) || other.contains(self) }
}

extension PortRule {
    /// The numbers of the item; nil for a name.
    private var numbers: ClosedRange<Int>? {
        switch ports {
        case .any: 0...65535
        case .number(let number): number...number
        case .range(let first, let last): first <= last ? first...last : nil
        case .name: nil
        }
    }

    fileprivate func covers(_ other: PortRule) -> Bool {
        guard ipProtocol == other.ipProtocol else { return false }
        if ports == .any || ports == other.ports { return true }
        guard let numbers, let others = other.numbers else { return false }
        return numbers.lowerBound <= others.lowerBound && others.upperBound <= numbers.upperBound
    }

    fileprivate func excludes(_ other: PortRule) -> Bool {
        if ipProtocol != other.ipProtocol { return true }
        guard let numbers, let others = other.numbers else { return false }
        return !numbers.overlaps(others)
    }
}
