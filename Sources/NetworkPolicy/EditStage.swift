internal import Addressing

/// The edits of one step, kept apart by what they do and put in a packet-safe order at the end.
///
/// New contents first; then what addresses are, then what pods are judged by; then what nothing points at any more.
struct EditStage {
    private var policies: [CompiledPolicy] = []
    private var peers: [(PolicyID, ClassID, RuleBits)] = []
    private var classes: [PolicyEdit] = []
    private var removedClasses: [PolicyEdit] = []
    private var endpoints: [PolicyEdit] = []
    private var removedPeers: [(PolicyID, ClassID)] = []
    private var removedPolicies: [PolicyID] = []

    mutating func set(_ policy: CompiledPolicy) { policies.append(policy) }
    mutating func set(_ policy: PolicyID, _ peerClass: ClassID, _ bits: RuleBits) {
        peers.append((policy, peerClass, bits))
    }
    mutating func remove(_ policy: PolicyID) { removedPolicies.append(policy) }
    mutating func remove(_ policy: PolicyID, _ peerClass: ClassID) { removedPeers.append((policy, peerClass)) }

    /// Switches what an address or a prefix is.
    mutating func pointPeer(_ edit: PolicyEdit) {
        switch edit {
        case .removeClass, .removePrefixClass: removedClasses.append(edit)
        default: classes.append(edit)
        }
    }

    /// Switches what a pod is judged by.
    mutating func pointEndpoint(_ edit: PolicyEdit) { endpoints.append(edit) }

    /// All edits in the order in which they are to be applied.
    var ordered: [PolicyEdit] {
        var result = policies.sorted { $0.id < $1.id }.map(PolicyEdit.setPolicy)
        result += peers.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map { PolicyEdit.setPeers($0.0, $0.1, $0.2) }
        result += classes + removedClasses + endpoints
        result += removedPeers.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map { PolicyEdit.removePeers($0.0, $0.1) }
        result += removedPolicies.sorted().map(PolicyEdit.removePolicy)
        return result
    }
}
