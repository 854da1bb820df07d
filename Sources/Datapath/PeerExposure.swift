internal import Addressing
internal import DatapathABI

/// What a peer is judged as while its class is not where it should be: a rule that denies the class, or one that allows
/// only others, would be passed by. The policies that tell these classes apart are closed where that does not end.
extension PolicyTables {
    /// Whether peers can't become what they should, or the kernel lacks a part of a policy that is in force.
    var isUnsettled: Bool { hasUnstagedPeers || !torn.isEmpty }

    /// Policies by which packets are judged, as their first pages are there, although peers or ports are not all there.
    var torn: Set<UInt32> { lacking.filter { !isClosed($0) } }

    /// Policies that would judge some peer by another class than its own with the next epoch, as the kernel does not take
    /// what is wanted.
    var exposed: Set<UInt32> {
        let strays = strayClasses
        if strays.isEmpty { return [] }
        // Entries on their way out count: until they are gone, packets are judged by them.
        let owners = peers.entries.keys.lazy.map { PolicyTables.owners(ofPeers: $0) }
        return Set(owners.filter { strays.contains($0.classID) }.map(\.policy))
    }

    /// Classes that peers should have and have not, and those that they pass for instead.
    private var strayClasses: Set<UInt32> {
        if !hasUnstagedPeers { return [] }
        let lengths = prefixes.lengths?.numbers ?? []
        var found: Set<UInt32> = []
        for key in classRecords.unstaged {
            found.formUnion(Self.classIDs([classes[key], classes.held(key)]))
            found.formUnion(classesCovering(Bytes(of: UInt32(128)) + key, lengths))
        }
        for key in prefixRecords.unstaged { found.formUnion(classesCovering(key, lengths)) }
        return found
    }

    /// The classes, wanted or in the kernel, of a prefix and of all that cover it.
    private func classesCovering(_ key: Bytes, _ lengths: [UInt32]) -> [UInt32] {
        guard let own = key.load(UInt32.self), let address = IPAddress(bytes: key.dropFirst(4)) else { return [] }
        return lengths.filter { $0 <= own }.flatMap { length in
            let shorter = Bytes(of: length) + address.masked(to: Int(length)).bytes
            return Self.classIDs([prefixes[shorter], prefixes.held(shorter)])
        }
    }

    private static func classIDs(_ values: [Bytes?]) -> [UInt32] { values.compactMap { $0?.load(UInt32.self) } }

    /// Whether the kernel lacks the policy's first page, so that all it would judge is dropped.
    func isClosed(_ policy: UInt32) -> Bool { pages.held(Self.headKey(policy)) == nil }
}

extension DatapathTables {
    /// Takes the first pages of policies that are in force away: what they would judge is dropped until what is missing
    /// is there. Live connections are judged again.
    mutating func close<Writer>(_ targets: Set<UInt32>, _ pass: inout ProgrammingPass<Writer>) {
        let heads = targets.subtracting([0]).filter { !policies.isClosed($0) }.sorted().map(PolicyTables.headKey)
        let done = pass.delete(policies.pages, heads)
        for key in done { policies.pages.observe(key, nil) }
        let closed = Set(done.map(\.policyOfPage))
        guard !closed.isEmpty else { return }
        endpoints.requireGenerations { closed.contains($0.ingress_policy) || closed.contains($0.egress_policy) }
    }

    /// Whether what is missing has been waited for long enough: policies that are in force without it are closed.
    var isOutOfPatience: Bool { unsettledPasses >= fullPatience }
}

extension IPAddress {
    /// The first bits of the 16-byte form, and zeros.
    func masked(to length: Int) -> IPAddress {
        IPAddress(
            high: length >= 64 ? high : high & ~(UInt64.max >> UInt64(length)),
            low: length <= 64 ? 0 : length >= 128 ? low : low & ~(UInt64.max >> UInt64(length - 64)))
    }
}
