internal import DatapathABI

extension DatapathTables {
    /// What `program` would write at `now` if nothing failed, in order.
    package func plan(now: UInt64) -> [PlannedWrite] {
        var copy = self
        var pass = ProgrammingPass(writer: PlanRecorder())
        var planned: [PlannedWrite] = []
        copy.run(&pass, now: now) { phase, pass in
            planned += pass.writer.writes.map { PlannedWrite(phase: phase, write: $0) }
            pass.writer = PlanRecorder()
        }
        return planned
    }

    /// Writes what the kernel does not hold yet, in packet-safe order.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds.
    package mutating func program(into writer: inout some MapWriter, now: UInt64) -> ProgrammingReport {
        var pass = ProgrammingPass(writer: writer)
        run(&pass, now: now) { _, _ in }
        writer = pass.writer
        var report = ProgrammingReport()
        report.written = pass.written
        report.hasCutOff = pass.hasCutOff
        report.problems = problems(pass.misses.map { ($0.table, $0.key, $0.error) })
        report.problems += exhausted + closed + domains.problems
        report.nextDeadline =
            [
                names.nextDeadline, policies.nextDeadline, services.nextDeadline, endpoints.nextDeadline,
                epoch.settleDue,
            ]
            .compactMap { $0 }.min()
        return report
    }

    /// Runs all phases; `after` is called when one is done.
    private mutating func run<Writer>(
        _ pass: inout ProgrammingPass<Writer>, now: UInt64,
        after: (ProgrammingPhase, inout ProgrammingPass<Writer>) -> Void
    ) {
        services.expireLeaving(now: now, grace: grace, names: &names)
        uplinks.update(hasFrontends: services.isExposed)
        endpoints.retryWaiting(names: &names)
        takeEdits()
        writeContent(&pass)
        after(.content, &pass)
        let lacking = stage(&pass, now: now)
        after(.staging, &pass)
        advance(lacking, &pass, now: now)
        after(.epoch, &pass)
        writePointers(lacking, &pass)
        after(.pointers, &pass)
        forgetHeldEndpoints()
        unsettledPasses = policies.isUnsettled ? unsettledPasses + 1 : 0
        removePointers(&pass)
        after(.pointerRemoval, &pass)
        removeContent(&pass, now: now)
        after(.contentRemoval, &pass)
    }

    // MARK: The epoch

    /// What keeps endpoints from changing.
    private struct Lacking {
        /// Policies that the kernel does not have in full.
        var incomplete: Set<UInt32> = []
        /// Policies that would judge amiss.
        var exposed: Set<UInt32> = []
        /// Whether an endpoint is not what it is to be in the next epoch.
        var holdsEndpoints = false
        /// Whether nothing could be written for it, as packets may still read what there is.
        var isBlocked = false
    }

    /// Writes what peers are and what judges endpoints for the next epoch.
    private mutating func stage<Writer>(_ pass: inout ProgrammingPass<Writer>, now: UInt64) -> Lacking {
        if epoch.isMisplaced {
            guard pass.store(.policyEpoch, 0, Bytes(of: UInt32(epoch.current))) else { return Lacking(isBlocked: true) }
            epoch.isMisplaced = false
        }
        let isChanging = policies.classes.hasDirty || policies.prefixes.hasDirty || endpoints.isChanging
        // Entries on their way out may take the room that is missing.
        let isDue = epoch.settleDue.map { $0 <= now || policies.hasUnstagedPeers } ?? false
        if isDue || isChanging && epoch.mustWait, !awaitPackets(all: isDue, &pass), isChanging {
            return Lacking(isBlocked: true)
        }
        // A policy that is torn holds up the classes that it tells apart; a closed one does not.
        if isOutOfPatience { close(policies.torn, &pass) }
        let incomplete = policies.incomplete
        stagePeers(incomplete.classes, &pass)
        let exposed = policies.exposed
        if isOutOfPatience { policies.exposedAndClosed.formUnion(exposed) }
        close(policies.exposedAndClosed, &pass)
        if isOutOfPatience, exposed.allSatisfy(policies.isClosed) { makeRoomForPeers(&pass) }
        var lacking = Lacking(incomplete: incomplete.policies, exposed: exposed.union(policies.torn))
        lacking.holdsEndpoints = !stageEndpoints(lacking.incomplete, lacking.exposed, &pass)
        if isDue { noteSettled(now: now) }
        return lacking
    }

    /// Whether all is the same in every epoch, once what was staged has come into force; else that is tried again.
    private mutating func noteSettled(now: UInt64) {
        if epoch.inUse.isEmpty, policies.hasEvenPeers, endpoints.isEven {
            epoch.becomeSettled()
        } else {
            epoch.settle(by: now + grace)
        }
    }

    /// Puts what was staged in force, all of it at once. Peers that the kernel does not take are not waited for without
    /// end; by then the policies are closed that tell apart what they are from what they should be.
    private mutating func advance<Writer>(
        _ lacking: Lacking, _ pass: inout ProgrammingPass<Writer>, now: UInt64
    ) {
        if lacking.isBlocked { return }
        if policies.hasStagedPeers || endpoints.isChanging {
            guard !epoch.mustWait, !lacking.holdsEndpoints, !policies.hasUnstagedPeers || isBeyondExposure,
                pass.store(.policyEpoch, 0, Bytes(of: UInt32(epoch.next)))
            else { return }
            epoch.advance(wait: pass.writer.beginWait(), settleBy: now + grace)
            policies.confirmStagedPeers()
            endpoints.confirmStaged(epoch)
        }
        // What is closed stays so until peers are what they should be.
        policies.exposedAndClosed.formIntersection(policies.exposed)
    }

    /// Whether peers that the kernel does not take have been waited for, and nothing judges by what they pass for.
    private var isBeyondExposure: Bool { isOutOfPatience && policies.exposed.allSatisfy(policies.isClosed) }

    // MARK: Phases

    private mutating func writeContent<Writer>(_ pass: inout ProgrammingPass<Writer>) {
        updateInfo()
        for run in pass.store(info, info.pendingRuns()) { info.confirm(run) }
        for key in pass.put(names, names.pendingPuts) { names.confirm(key) }
        putPolicies(\.peers, policies.pendingPuts(\.peers, of: \.policyOfPeers), \.policyOfPeers, &pass)
        for table in PolicyTables.portTables {
            putPolicies(table, policies.pendingPuts(table, of: \.policyOfPorts), \.policyOfPorts, &pass)
        }
        let pages = policies.pendingPages
        putPolicies(\.pages, pages.ready, \.policyOfPage, &pass)
        for key in pages.held { pass.hold(.policyPages, key) }
        giveBackRoom(&pass)
        installDomains(&pass)
        for key in pass.put(services.sourceRanges.table, services.sourceRanges.table.pendingPuts) {
            services.sourceRanges.table.confirm(key)
        }
        for key in pass.put(nonMasquerade, nonMasquerade.pendingPuts) { nonMasquerade.confirm(key) }
        for key in pass.put(nodeRanges, nodeRanges.pendingPuts) { nodeRanges.confirm(key) }
        storeBackends(.serving, &pass)
        for run in pass.store(services.slots, services.slots.pendingRuns()) { services.slots.confirm(run) }
    }

    private mutating func storeBackends<Writer>(_ state: BackendState, _ pass: inout ProgrammingPass<Writer>) {
        for run in pass.store(services.backends.entries, services.backends.pending(state)) {
            services.backends.entries.confirm(run)
            if state != .serving { pass.noteBackendsGone() }
        }
    }

    /// Writes contents of policies. One that is in force already (a repair) has its connections judged again.
    private mutating func putPolicies<Writer>(
        _ table: WritableKeyPath<PolicyTables, HashTable>, _ keys: [Bytes], _ owner: KeyPath<Bytes, UInt32>,
        _ pass: inout ProgrammingPass<Writer>
    ) {
        let done = pass.put(policies[keyPath: table], keys)
        entriesLookedAt += keys.count
        let repaired = done.filter { policies[keyPath: table].confirm($0) }
        guard !repaired.isEmpty else { return }
        let changed = Set(repaired.map { $0[keyPath: owner] })
        endpoints.requireGenerations { changed.contains($0.ingress_policy) || changed.contains($0.egress_policy) }
    }

    /// Takes back what was written of policies that found no room for the rest: others may fit there.
    private mutating func giveBackRoom<Writer>(_ pass: inout ProgrammingPass<Writer>) {
        let refused = pass.misses.filter { $0.error?.saysFull ?? false }.compactMap { miss in
            switch miss.table {
            case .policyPages: miss.key.policyOfPage
            case .policyPeers: miss.key.policyOfPeers
            case .policySinglePorts, .policyPorts: miss.key.policyOfPorts
            default: nil as UInt32?
            }
        }
        for policy in Set(refused).sorted() {
            let useless = policies.useless(policy)
            for key in pass.delete(policies.peers, useless.peers) { policies.peers.evict(key) }
            for table in PolicyTables.portTables {
                let keys = useless.ports.filter { PolicyTables.tableOfPorts($0) == table }
                for key in pass.delete(policies[keyPath: table], keys) { policies[keyPath: table].evict(key) }
            }
            for key in pass.delete(policies.pages, useless.pages) { policies.pages.evict(key) }
        }
    }

    private mutating func writePointers<Writer>(_ lacking: Lacking, _ pass: inout ProgrammingPass<Writer>) {
        // Before Services lead to them: the first answer of a backend is to teach.
        for key in pass.put(resolvers, resolvers.pendingPuts) { resolvers.confirm(key) }
        let (ready, waiting) = services.services.pendingPuts.split { services.isReady(services.services[$0] ?? []) }
        for key in pass.put(services.services, ready) { services.confirm(key) }
        for key in waiting { pass.hold(.services, key) }
        if !lacking.isBlocked { writeNewEndpoints(lacking.incomplete, lacking.exposed, &pass) }
        // Without all ranges that keep their address, what goes to other nodes' pods would leave in the node's name.
        let (usable, early) = uplinks.table.pendingPuts.split {
            nonMasquerade.pendingPuts.isEmpty || !uplinks.masquerades($0)
        }
        for key in pass.put(uplinks.table, usable) { uplinks.table.confirm(key) }
        for key in early { pass.hold(.uplinks, key) }
        writeWays(\.addresses, &pass)
        writeWays(\.interfaces, &pass)
    }

    /// Writes what leads to endpoints that are there.
    private mutating func writeWays<Writer>(
        _ table: WritableKeyPath<EndpointTables, HashTable>, _ pass: inout ProgrammingPass<Writer>
    ) {
        let ways = endpoints[keyPath: table]
        let (ready, waiting) = ways.pendingPuts.split { key in
            guard let slot = ways[key]?.load(UInt32.self) else { return false }
            return endpoints.records[Int(slot)]?.actual?.ifindex ?? 0 != 0
        }
        for key in pass.put(ways, ready) { endpoints[keyPath: table].confirm(key) }
        for key in waiting { pass.hold(ways.table, key) }
    }

    private mutating func removePointers<Writer>(_ pass: inout ProgrammingPass<Writer>) {
        for key in pass.delete(endpoints.interfaces, endpoints.interfaces.pendingDeletes) {
            endpoints.interfaces.confirm(key)
        }
        for key in pass.delete(endpoints.addresses, endpoints.addresses.pendingDeletes) {
            endpoints.addresses.confirm(key)
        }
        for key in pass.delete(services.services, services.services.pendingDeletes) { services.confirm(key) }
        // As nothing leads there any more, what was led there before leaves with its next packet.
        storeBackends(.gone, &pass)
        for key in pass.delete(resolvers, resolvers.pendingDeletes) { resolvers.confirm(key) }
        for key in pass.delete(uplinks.table, uplinks.table.pendingDeletes) { uplinks.table.confirm(key) }
    }

    private mutating func removeContent<Writer>(_ pass: inout ProgrammingPass<Writer>, now: UInt64) {
        services.expireLeaving(now: now, grace: grace, names: &names)
        for (slot, hidden) in endpoints.leftSlots
        where hidden.map({ pass.store(.endpoints, slot, Bytes(of: $0)) }) ?? true {
            if let hidden { endpoints.note(slot, hidden, epoch) }
            endpoints.startLeaving(slot, until: now + grace)
        }
        for slot in endpoints.dueSlots(now: now)
        where pass.store(.endpoints, slot, Bytes(of: apus_endpoint())) {
            endpoints.release(slot)
        }
        entriesLookedAt += policies.leavingCount
        policies.expireLeaving(now: now, grace: grace, policiesInUse: endpoints.policiesInUse)
        names.expireLeaving(now: now, grace: grace) { _ in false }
        services.sourceRanges.table.expireLeaving(now: now, grace: grace) { _ in false }
        for key in pass.delete(services.sourceRanges.table, services.sourceRanges.table.pendingDeletes) {
            services.sourceRanges.table.confirm(key)
        }
        for key in pass.delete(nonMasquerade, nonMasquerade.pendingDeletes) { nonMasquerade.confirm(key) }
        for key in pass.delete(nodeRanges, nodeRanges.pendingDeletes) { nodeRanges.confirm(key) }
        for table in PolicyTables.portTables {
            let keys = policies[keyPath: table].pendingDeletes
            for key in pass.delete(policies[keyPath: table], keys) { policies[keyPath: table].confirm(key) }
        }
        for key in pass.delete(policies.peers, policies.peers.pendingDeletes) { policies.peers.confirm(key) }
        for key in pass.delete(policies.pages, policies.pages.pendingDeletes) { policies.pages.confirm(key) }
        storeBackends(.free, &pass)
        for key in pass.delete(names, names.pendingDeletes) { names.confirm(key) }
    }
}

extension Sequence {
    /// The elements for which `predicate` holds, and the others.
    fileprivate func split(_ predicate: (Element) -> Bool) -> (matching: [Element], others: [Element]) {
        var matching: [Element] = []
        var others: [Element] = []
        for element in self {
            if predicate(element) { matching.append(element) } else { others.append(element) }
        }
        return (matching, others)
    }
}

extension Bytes {
    var policyOfPage: UInt32 { PolicyTables.policy(ofPage: self) }
    fileprivate var policyOfPeers: UInt32 { PolicyTables.owners(ofPeers: self).policy }
    fileprivate var policyOfPorts: UInt32 { PolicyTables.policy(ofPorts: self) }
}
