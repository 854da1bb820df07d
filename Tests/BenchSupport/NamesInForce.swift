internal import Datapath

/// How far a node's agent has come with a policy that has names.
public enum NamesInForce {
    /// The patterns in the policies that pods have.
    public static func count(bpffs: String) throws -> Int {
        let reader = try DatapathReader(bpffs: bpffs)
        let used = Set(try reader.policies().filter { !$0.uses.isEmpty }.map(\.id))
        return Set(try reader.patternUses().filter { used.contains($0.policy) }.map(\.pattern)).count
    }

    /// Answers that have taught the data path addresses so far.
    public static func learned(bpffs: String) throws -> UInt64 {
        try DatapathReader(bpffs: bpffs).nameOutcomes()[.learned] ?? 0
    }
}
