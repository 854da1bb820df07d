public import Addressing
internal import BPF
internal import DatapathABI
internal import LinuxKernel
public import NetworkPolicy

/// A name under which an address is held.
public struct HeldName: Sendable, Hashable {
    /// Lower case, no trailing dot.
    public var name: String
    /// The first moment at which it does not count for a new connection, in nanoseconds of the monotonic clock.
    public var end: UInt64
    /// The patterns that match it, by their id in the maps; 0: none does.
    var set: UInt32

    init(name: String, end: UInt64, set: UInt32) {
        self.name = name
        self.end = end
        self.set = set
    }
}

/// Looks up the names of addresses. They are read from the maps each time, as the data path may have learned them a
/// moment ago; of policies without names nothing is looked up.
public struct AddressNames: ~Copyable, Sendable {
    /// Policies that are remembered before all are forgotten.
    private static let limit = 65_536

    private let pages: BPFMap
    private let addresses: BPFMap
    private let names: BPFMap
    /// Whether a policy has names: what an id stands for never changes.
    private var known: [UInt32: Bool] = [:]
    /// What was found for the batch of events at hand, with the time of the look.
    private var recent: [NamedAddress: (time: UInt64, texts: [String])] = [:]

    private struct NamedAddress: Hashable {
        let policy: UInt32
        let address: IPAddress
    }

    init(pages: consuming BPFMap, addresses: consuming BPFMap, names: consuming BPFMap) {
        self.pages = pages
        self.addresses = addresses
        self.names = names
    }

    /// The names under which a policy's pods have learned an address, the one that ends last first; those that have
    /// ended are among them while they are held.
    public mutating func names(of address: IPAddress, for policy: PolicyID) -> [HeldName] {
        guard hasNames(policy.rawValue) else { return [] }
        return uses(of: address, for: policy).compactMap { use in
            guard let record = try? names.lookup(use.name, as: apus_learned_name.self) else { return nil }
            return HeldName(name: LearnedNameRecord(record).name, end: use.end_ns, set: record.set)
        }.sorted { ($1.end, $0.name) < ($0.end, $1.name) }
    }

    /// The addresses that a policy's pods have learned under a name, without those that have ended. All that is held is
    /// looked at: for people.
    ///
    /// - Parameters:
    ///   - name: in lower case, without a trailing dot.
    ///   - now: nanoseconds of the monotonic clock.
    public func addresses(of name: String, for policy: PolicyID, now: UInt64) -> [IPAddress] {
        let hashes = Set(((try? names.learnedNames()) ?? []).filter { $0.record.name == name }.map(\.key))
        let held = (try? addresses.learnedAddresses()) ?? []
        let found = held.filter { key, value in
            key.policy == policy.rawValue && value.learned.contains { hashes.contains($0.name) && $0.end_ns > now }
        }
        return Set(found.map(\.key.address.address)).sorted()
    }

    /// The names of all parts of an address.
    private func uses(of address: IPAddress, for policy: PolicyID) -> [apus_learned_use] {
        var key = apus_learned_key(address: apus_address(address), policy: policy.rawValue, part: 0)
        guard let head = try? addresses.lookup(key, as: apus_learned_address.self) else { return [] }
        var uses = head.learned
        for part in 0..<UInt32(head.further) {
            key.part = part + 1
            uses += (try? addresses.lookup(key, as: apus_learned_address.self))?.learned ?? []
        }
        return uses
    }

    /// Begins with a batch of events.
    mutating func beginBatch() { recent.removeAll(keepingCapacity: true) }

    /// The names of an address as text, for an event of the batch. Who came before the last look at the address, as most
    /// of a batch did, is content with what that has found.
    ///
    /// - Parameter time: of the event, in nanoseconds of the monotonic clock.
    mutating func texts(of address: IPAddress, for decision: PolicyDecision?, at time: UInt64) -> [String] {
        guard let policy = decision?.policy, hasNames(policy.rawValue) else { return [] }
        let key = NamedAddress(policy: policy.rawValue, address: address)
        if let found = recent[key], time < found.time { return found.texts }
        let now = KernelClock.monotonic()
        let texts = names(of: address, for: policy).map(\.name)
        recent[key] = (now, texts)
        return texts
    }

    /// The names of an address as text.
    mutating func texts(of address: IPAddress, for decision: PolicyDecision?) -> [String] {
        decision.map { names(of: address, for: $0.policy).map(\.name) } ?? []
    }

    private mutating func hasNames(_ policy: UInt32) -> Bool {
        if let known = known[policy] { return known }
        let page = try? pages.lookup(apus_policy_page_key(policy: policy, page: 0), as: apus_policy_page.self)
        // One that is not there yet, or not any more, may be there again.
        guard let page else { return false }
        if known.count >= Self.limit { known = [:] }
        known[policy] = page.has(APUS_POLICY_NAMES)
        return page.has(APUS_POLICY_NAMES)
    }
}

extension DatapathKernel {
    /// What looks up the names of addresses.
    public func addressNames() throws -> AddressNames {
        AddressNames(
            pages: try box("policy_pages").map.duplicate(), addresses: try box("learned_addresses").map.duplicate(),
            names: try box("learned_names").map.duplicate())
    }
}

extension DatapathReader {
    /// What looks up the names of addresses.
    public func addressNames() throws(DatapathReadError) -> AddressNames {
        let pages = try open(.policyPages)
        let addresses = try open(.learnedAddresses)
        let names = try open(.learnedNames)
        return AddressNames(pages: pages, addresses: addresses, names: names)
    }
}
