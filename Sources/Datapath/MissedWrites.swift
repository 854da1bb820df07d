internal import DatapathABI

extension DatapathTables {
    /// What was missed, in order. Peers of one class that fail alike are one problem: a full map may refuse thousands.
    func problems(_ misses: [(table: DatapathTable, key: Bytes, error: MapError?)]) -> [DatapathProblem] {
        var problems: [DatapathProblem] = []
        var crowds: [Crowd: Members] = [:]
        for (table, key, error) in misses {
            let reason = error.map { DatapathProblem.Reason.refused(table, $0) } ?? .waiting(table)
            guard let classID = classID(table, key) else {
                problems.append(DatapathProblem(object: object(table, key), reason: reason))
                continue
            }
            let crowd = Crowd(classID: classID, reason: reason)
            if crowds[crowd] == nil {
                crowds[crowd] = Members(index: problems.count)
                problems.append(DatapathProblem(object: "", reason: reason))
            }
            crowds[crowd]?.add(table.text(ofKey: key))
        }
        for (crowd, members) in crowds {
            problems[members.index] = DatapathProblem(
                object: members.text(crowd.classID), reason: crowd.reason, count: members.count)
        }
        return problems
    }

    /// The class that an address or prefix should have, or had; nil for other tables.
    private func classID(_ table: DatapathTable, _ key: Bytes) -> UInt32? {
        let peers: HashTable
        switch table {
        case .peerClasses: peers = policies.classes
        case .peerPrefixes: peers = policies.prefixes
        default: return nil
        }
        return (peers[key] ?? peers.held(key))?.load(UInt32.self)
    }
}

/// Peers of one class for which the same went wrong.
private struct Crowd: Hashable {
    let classID: UInt32
    let reason: DatapathProblem.Reason
}

private struct Members {
    /// How many are told by their addresses.
    private static let told = 3

    /// Where the first one stands among the problems.
    let index: Int
    private(set) var count = 0
    private var first: [String] = []

    init(index: Int) { self.index = index }

    mutating func add(_ address: String) {
        count += 1
        if first.count < Self.told { first.append(address) }
    }

    /// `peer 10.244.9.1`, `peers 10.244.9.1, 10.244.9.2, 10.244.9.3 and 97 more of class 7`.
    func text(_ classID: UInt32) -> String {
        if count == 1 { return "peer \(first[0])" }
        let more = count > first.count ? " and \(count - first.count) more" : ""
        return "peers \(first.joined(separator: ", "))\(more) of class \(classID)"
    }
}
