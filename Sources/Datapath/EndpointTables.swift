internal import Addressing
internal import DatapathABI
internal import NetworkPolicy

/// The endpoints of this node and what finds them: slots, addresses and interfaces.
struct EndpointTables: Sendable {
    /// What the next new endpoint gets; never falls while the pins live.
    var nextIdentity: UInt32 = 1
    var addresses = HashTable(.endpointAddresses)
    var interfaces = HashTable(.interfaces)
    private(set) var records: [Int: EndpointRecord] = [:]
    /// Pods that found no free slot.
    private(set) var waiting: [PodKey: EndpointSpec] = [:]

    private var allocator: RangeAllocator
    private var slotOfPod: [PodKey: Int] = [:]
    /// Policies of pods, also of those that have no endpoint yet.
    private var policies: [PodKey: EndpointPolicies] = [:]
    /// Whether the policies that were taken over stay, whatever edits say.
    private var holdsAdopted = false
    /// Slots that are given up: hidden when nothing leads to them any more, zeroed and free after the grace period.
    private(set) var leaving: [Int: Leaving] = [:]

    /// A slot on its way out.
    struct Leaving {
        /// What the kernel holds until it is zeroed.
        var held: apus_endpoint?
        /// When it may be zeroed, once nothing leads to it.
        var deadline: UInt64?
    }

    init(capacity: Int) {
        // Slot 0 means "not an endpoint of this node".
        allocator = RangeAllocator(1..<max(1, capacity))
    }

    /// The slot of a pod.
    func slot(of pod: PodKey) -> Int? { slotOfPod[pod] }

    /// Whether the kernel holds the pod's endpoint with its policies, and everything that leads to it.
    func isProgrammed(_ pod: PodKey) -> Bool {
        guard let slot = slotOfPod[pod], let record = records[slot], record.isClaimed, !record.isDirty else {
            return false
        }
        let way = Bytes(of: record.wanted.ifindex)
        let isFound = interfaces[way] == Bytes(of: UInt32(slot)) && !interfaces.isDirty(way)
        return isFound && record.addresses.allSatisfy { !addresses.isDirty($0.key) }
    }

    // MARK: Edits

    mutating func apply(_ edit: EndpointEdit, names: inout HashTable) {
        switch edit {
        case .upsert(let spec): upsert(spec, names: &names)
        case .remove(let pod):
            waiting[pod] = nil
            if let slot = slotOfPod[pod] { giveUp(slot, names: &names) }
        }
    }

    mutating func setPolicies(_ new: EndpointPolicies, of pod: PodKey) {
        policies[pod] = new
        guard let slot = slotOfPod[pod], var record = records[slot] else { return }
        if holdsAdopted, !record.hasPolicies {
            // A direction that nothing judged has nothing to keep.
            if record.wanted.ingress_policy == 0 { record.wanted.ingress_policy = new.ingress.rawValue }
            if record.wanted.egress_policy == 0 { record.wanted.egress_policy = new.egress.rawValue }
        } else {
            record.wanted.policies = new
            record.hasPolicies = true
        }
        records[slot] = record
    }

    /// From now on endpoints that were taken over keep their policies.
    mutating func holdAdopted() { holdsAdopted = true }

    /// Gives the endpoints that were taken over the policies that edits assigned meanwhile.
    mutating func releaseAdopted() {
        guard holdsAdopted else { return }
        holdsAdopted = false
        for (pod, new) in policies { setPolicies(new, of: pod) }
    }

    /// Addresses that were another pod's when the maps were taken over.
    private(set) var takenOver: Set<IPAddress> = []

    /// A pod is no longer selected by anything because it is going away: its endpoint keeps what it has until then.
    mutating func forgetPolicies(of pod: PodKey) { policies[pod] = nil }

    private mutating func upsert(_ spec: EndpointSpec, names: inout HashTable) {
        waiting[spec.pod] = nil
        if let slot = slotOfPod[spec.pod], let record = records[slot] {
            // An open connection leads to the slot as long as the identity is the same: one that loses an address gets
            // another.
            if record.name?.uid == spec.uid, Set(record.addresses).isSubset(of: spec.addresses.prefix(2)) {
                return update(slot, record, with: spec, names: &names)
            }
            giveUp(slot, names: &names)
        }
        guard let slot = allocator.allocate() else {
            waiting[spec.pod] = spec
            return
        }
        let name = EndpointIdentityName(pod: spec.pod, uid: spec.uid)
        var record = EndpointRecord(name: name, wanted: apus_endpoint())
        record.wanted.identity = nextIdentity
        nextIdentity &+= 1
        record.wanted.policies = policies[spec.pod] ?? EndpointPolicies()
        record.hasPolicies = policies[spec.pod] != nil
        slotOfPod[spec.pod] = slot
        update(slot, record, with: spec, names: &names)
    }

    private mutating func update(
        _ slot: Int, _ record: EndpointRecord, with spec: EndpointSpec, names: inout HashTable
    ) {
        var record = record
        let oldInterface = record.wanted.ifindex
        record.wanted.take(spec)
        record.isClaimed = true
        records[slot] = record
        let value = Bytes(of: UInt32(slot))
        if oldInterface != spec.interface { removeInterface(oldInterface, of: slot) }
        interfaces.put(Bytes(of: spec.interface), value)
        for address in record.addresses {
            if addresses[address.key] ?? value != value { takenOver.insert(address) }
            addresses.put(address.key, value)
        }
        if let name = record.name { names.put(NameKey.endpoint(slot).key, NameKey.value(name.text)) }
    }

    /// Takes the ways to a slot away; the slot itself goes when they are gone.
    private mutating func giveUp(_ slot: Int, names: inout HashTable) {
        guard let record = records.removeValue(forKey: slot) else { return }
        if let pod = record.name?.pod, slotOfPod[pod] == slot { slotOfPod[pod] = nil }
        removeInterface(record.wanted.ifindex, of: slot)
        let value = Bytes(of: UInt32(slot))
        for address in record.addresses where addresses[address.key] == value { addresses.remove(address.key) }
        names.retire(NameKey.endpoint(slot).key)
        leaving[slot] = Leaving(held: record.held)
    }

    private mutating func removeInterface(_ interface: UInt32, of slot: Int) {
        let key = Bytes(of: interface)
        if interfaces[key] == Bytes(of: UInt32(slot)) { interfaces.remove(key) }
    }

    /// Tries again to find slots for the pods that wait.
    mutating func retryWaiting(names: inout HashTable) {
        guard !waiting.isEmpty, !allocator.free.isEmpty else { return }
        for spec in waiting.values.sorted(by: { $0.pod < $1.pod }) { upsert(spec, names: &names) }
    }

    // MARK: Programming

    /// Slots whose record is not what it should be, in order.
    var pendingSlots: [Int] { records.filter { $0.value.isDirty }.keys.sorted() }

    /// Ids that endpoints in the kernel point to, in any epoch.
    var policiesInUse: Set<UInt32> {
        let inUse = records.values.compactMap(\.held) + leaving.values.compactMap(\.held)
        return Set(inUse.flatMap(\.policiesInUse))
    }

    /// Ids that endpoints are to point to.
    var policiesWanted: Set<UInt32> {
        Set(records.values.flatMap { [$0.wanted.ingress_policy, $0.wanted.egress_policy] })
    }

    /// The kernel took a record.
    mutating func note(_ slot: Int, _ written: apus_endpoint, _ epoch: PolicyEpoch) {
        if records[slot] != nil { records[slot]?.note(written, epoch) } else { leaving[slot]?.held = written }
    }

    /// The next epoch is in force.
    mutating func confirmStaged(_ epoch: PolicyEpoch) {
        for slot in records.keys { records[slot]?.confirm(epoch) }
    }

    /// Whether something else is to judge an endpoint with the next epoch.
    var isChanging: Bool { records.values.contains { !$0.isNew && $0.isChanging } }

    /// Whether the kernel holds the same in every epoch.
    var isEven: Bool {
        (records.values.compactMap(\.held) + leaving.values.compactMap(\.held)).allSatisfy { held in
            held.coming_policy == 0 && PolicyEpoch.all.allSatisfy { Bytes(of: held[$0]) == Bytes(of: held[0]) }
        }
    }

    /// A record was written with its next generation for every epoch.
    mutating func confirmGeneration(_ slot: Int) { records[slot]?.needsGeneration = false }

    /// What to write of slots on their way out, so that until then they are judged in every epoch as they are now.
    func stagedLeaving(_ epoch: PolicyEpoch) -> [(slot: Int, record: apus_endpoint)] {
        leaving.sorted { $0.key < $1.key }.compactMap { slot, state in
            guard let held = state.held else { return nil }
            var staged = held
            let now = held[epoch.current]
            for (number, value) in epoch.values(inForce: now, wanted: now, former: { held[$0] }).enumerated() {
                staged[number] = value
            }
            return Bytes(of: staged) == Bytes(of: held) ? nil : (slot, staged)
        }
    }

    /// Live connections of every endpoint with a policy must be judged again.
    mutating func requireGenerations(where include: (apus_endpoint) -> Bool = { _ in true }) {
        for (slot, record) in records {
            guard let actual = record.actual, record.isJudged || actual.policies != EndpointPolicies() else { continue }
            if include(actual) { records[slot]?.needsGeneration = true }
        }
    }

    /// Slots to which nothing leads any more, each with the record that hides it from connections that name it; nil
    /// where what the kernel holds is not known. Their grace period starts with `startLeaving`.
    var leftSlots: [(slot: Int, hidden: apus_endpoint?)] {
        let outdated = Set(addresses.outdatedValues + interfaces.outdatedValues)
        let left = leaving.filter { slot, state in
            state.deadline == nil && !outdated.contains(Bytes(of: UInt32(slot)))
        }
        return left.sorted { $0.key < $1.key }.map { slot, state in
            var hidden = state.held
            hidden?.flags |= APUS_ENDPOINT_LEAVING.rawValue
            return (slot, hidden)
        }
    }

    /// From now on no packet finds the slot. Those that have found it pass until the deadline.
    mutating func startLeaving(_ slot: Int, until deadline: UInt64) { leaving[slot]?.deadline = deadline }

    /// Slots to zero now.
    func dueSlots(now: UInt64) -> [Int] {
        leaving.filter { $0.value.deadline.map { $0 <= now } ?? false }.keys.sorted()
    }

    var nextDeadline: UInt64? { leaving.values.compactMap(\.deadline).min() }

    /// The kernel holds zeros there: another endpoint may have the slot.
    mutating func release(_ slot: Int) {
        guard leaving.removeValue(forKey: slot) != nil else { return }
        allocator.release(slot..<slot + 1)
    }

    // MARK: Adoption

    /// Takes over a slot that the kernel holds.
    mutating func adopt(_ slot: Int, _ endpoint: apus_endpoint, _ epoch: PolicyEpoch, name: EndpointIdentityName?) {
        guard allocator.reserve(slot..<slot + 1) else { return }
        var wanted = endpoint
        wanted.setEpochs(endpoint[epoch.current])
        wanted.coming_policy = 0
        var record = EndpointRecord(name: name, wanted: wanted)
        record.note(endpoint, epoch)
        record.isClaimed = false
        // The last agent may have died after it has closed a policy and before it had its connections judged again.
        record.needsGeneration = record.isJudged
        records[slot] = record
        if let pod = name?.pod, slotOfPod[pod] == nil { slotOfPod[pod] = slot }
        nextIdentity = max(nextIdentity, endpoint.identity &+ 1)
    }

    /// Takes over a slot that has no interface but is not empty: it is on its way out.
    mutating func adoptLeaving(_ slot: Int) {
        if allocator.reserve(slot..<slot + 1) { leaving[slot] = Leaving(held: nil) }
    }

    /// Gives up the endpoints that nobody asked for, and the policies that nobody assigned.
    mutating func removeUnclaimed(names: inout HashTable) {
        for (slot, record) in records.sorted(by: { $0.key < $1.key }) {
            if !record.isClaimed {
                giveUp(slot, names: &names)
            } else if !record.hasPolicies {
                records[slot]?.wanted.policies = EndpointPolicies()
            }
        }
        addresses.removeUnclaimed(afterGrace: false)
        interfaces.removeUnclaimed(afterGrace: false)
    }

    /// The kernel was seen to hold another record than we wrote. Its generation only ever grows, as connections may be
    /// stamped with any that was in force.
    mutating func observe(_ slot: Int, _ seen: apus_endpoint, _ epoch: PolicyEpoch) {
        guard var record = records[slot], let believed = record.actual else {
            if records[slot] == nil { zeroStranger(slot) }
            return
        }
        let now = seen[epoch.current]
        if now.policies != believed.policies || now.generation != believed.generation {
            record.needsGeneration = true
        }
        record.note(seen, epoch)
        record.raiseGeneration(to: believed.generation)
        records[slot] = record
    }

    /// Somebody else wrote to a slot that nobody has, or to slot 0, which nobody may have.
    private mutating func zeroStranger(_ slot: Int) {
        guard leaving[slot] == nil else { return }
        _ = allocator.reserve(slot..<slot + 1)
        leaving[slot] = Leaving(held: nil)
    }
}
