internal import DatapathABI

extension DatapathTables {
    /// Writes what is to judge endpoints with the next epoch. One whose policy has been waited for for too long changes
    /// all the same: the programs drop the traffic of a pod whose policy is missing, but never once a policy is there that
    /// judges amiss.
    ///
    /// - Parameters:
    ///   - incomplete: policies that the kernel does not have in full.
    ///   - exposed: policies that would judge amiss.
    /// - Returns: Whether the kernel has all of it.
    mutating func stageEndpoints<Writer>(
        _ incomplete: Set<UInt32>, _ exposed: Set<UInt32>, _ pass: inout ProgrammingPass<Writer>
    ) -> Bool {
        var isComplete = true
        var moves: [NameMove: [Int]] = [:]
        for (slot, record) in endpoints.records.sorted(by: { $0.key < $1.key }) where !record.isNew {
            let isHeld = record.isDirty && mustWait(slot, record, incomplete, exposed, &pass)
            if isHeld { isComplete = false }
            guard let held = record.held, var staged = record.staged(epoch, isHeld: isHeld) else { continue }
            let move = isHeld ? nil : nameMove(of: record)
            if let move { staged.coming_policy = move.to }
            let isThere = Bytes(of: staged) == Bytes(of: held)
            if isThere || write(slot, staged, &pass) {
                if let move { moves[move, default: []].append(slot) }
            } else {
                isComplete = false
            }
        }
        for (slot, staged) in endpoints.stagedLeaving(epoch) where !write(slot, staged, &pass) { isComplete = false }
        return carryLearned(moves, &pass) && isComplete
    }

    /// Writes endpoints that no packet finds yet, after what their policies know of peers is in force.
    mutating func writeNewEndpoints<Writer>(
        _ incomplete: Set<UInt32>, _ exposed: Set<UInt32>, _ pass: inout ProgrammingPass<Writer>
    ) {
        let isHeldUp = isHeldUp
        for (slot, record) in endpoints.records.sorted(by: { $0.key < $1.key }) where record.isNew {
            if mustWait(slot, record, incomplete, exposed, &pass) { continue }
            if isHeldUp, record.isJudged {
                pass.hold(.endpoints, Bytes(of: UInt32(slot)))
                continue
            }
            var new = record.wanted
            new.setEpochs(record.coming ?? record.next[0])
            if write(slot, new, &pass) { endpoints.confirmGeneration(slot) }
        }
    }

    /// Whether a change of peers or endpoints can't come into force yet.
    private var isHeldUp: Bool {
        policies.hasStagedPeers || policies.hasUnstagedPeers && !isOutOfPatience || endpoints.isChanging
    }

    /// Whether an endpoint can't have its policies yet, and must keep what it has.
    private mutating func mustWait<Writer>(
        _ slot: Int, _ record: EndpointRecord, _ incomplete: Set<UInt32>, _ exposed: Set<UInt32>,
        _ pass: inout ProgrammingPass<Writer>
    ) -> Bool {
        let assigned = [record.wanted.ingress_policy, record.wanted.egress_policy]
        let held = heldEndpoints[slot]?.passes ?? 0
        let isWaiting = held < fullPatience && assigned.contains(where: incomplete.contains)
        let isExposed = assigned.contains { exposed.contains($0) && !policies.isClosed($0) }
        guard isWaiting || isExposed else { return false }
        heldEndpoints[slot] = HeldEndpoint(passes: held + 1, isHeld: true)
        pass.hold(.endpoints, Bytes(of: UInt32(slot)))
        return true
    }

    /// Forgets of endpoints that nothing holds up any more how long it did.
    mutating func forgetHeldEndpoints() {
        heldEndpoints = heldEndpoints.filter { $0.value.isHeld }.mapValues {
            HeldEndpoint(passes: $0.passes, isHeld: false)
        }
    }

    private mutating func write<Writer>(
        _ slot: Int, _ record: apus_endpoint, _ pass: inout ProgrammingPass<Writer>
    ) -> Bool {
        guard pass.store(.endpoints, slot, Bytes(of: record)) else { return false }
        endpoints.note(slot, record, epoch)
        return true
    }
}

/// An endpoint that is held up because its policy could not be written.
struct HeldEndpoint: Sendable {
    /// How many passes have held it up.
    let passes: Int
    /// Whether this one does.
    let isHeld: Bool
}
