internal import Addressing
internal import DatapathABI
internal import NetworkPolicy

/// One endpoint slot that is in use: what is wanted and what the kernel holds.
struct EndpointRecord: Sendable {
    /// Who it is; nil for a slot found without a readable name.
    var name: EndpointIdentityName?
    /// What is wanted in every epoch, except the generation.
    var wanted: apus_endpoint
    /// What is in force, as if it were so in every epoch; nil while nothing was written.
    private(set) var actual: apus_endpoint?
    /// What the kernel holds.
    private(set) var held: apus_endpoint?
    /// The generation must change with the next epoch.
    var needsGeneration = false
    /// Whether the policies were assigned by an edit; adopted ones were not.
    var hasPolicies = false
    /// Whether an edit asked for it since the start.
    var isClaimed = true

    init(name: EndpointIdentityName?, wanted: apus_endpoint) {
        self.name = name
        self.wanted = wanted
    }

    /// What is wanted, with the generation in force.
    var next: apus_endpoint {
        var next = wanted
        next.generation = actual?.generation ?? 1
        return next
    }

    /// Whether something else is in force, leaving the generation aside.
    var isDirty: Bool { actual.map { Bytes(of: $0) != Bytes(of: next) } ?? true }

    /// Whether something else is to judge it than does, or its live connections are to be judged again.
    var isChanging: Bool { needsGeneration || actual.map { $0.policies != wanted.policies } ?? false }

    /// Whether no packet finds it yet: it may be written for every epoch at once.
    var isNew: Bool { held?.ifindex ?? 0 == 0 }

    var isJudged: Bool { wanted.ingress_policy != 0 || wanted.egress_policy != 0 }

    var addresses: [IPAddress] { wanted.addressList }

    /// What judges it in the next epoch.
    var coming: apus_endpoint_epoch? {
        guard var coming = actual?[0] else { return nil }
        // 0 means "not judged yet" in a connection.
        if isChanging { coming.generation = coming.generation == .max ? 1 : coming.generation + 1 }
        coming.ingress_policy = wanted.ingress_policy
        coming.egress_policy = wanted.egress_policy
        return coming
    }

    /// What to write, so that in the next epoch it is judged as is wanted, and until then as it is.
    ///
    /// - Parameter isHeld: Whether its policies must wait.
    func staged(_ epoch: PolicyEpoch, isHeld: Bool) -> apus_endpoint? {
        guard let actual, let held, let coming = isHeld ? actual[0] : coming else { return nil }
        var staged = wanted
        staged.coming_policy = epoch.inUse.isEmpty ? 0 : held.coming_policy
        for (number, value) in epoch.values(inForce: actual[0], wanted: coming, former: { held[$0] }).enumerated() {
            staged[number] = value
        }
        return staged
    }

    /// The kernel took a record, or was seen to hold it.
    mutating func note(_ record: apus_endpoint, _ epoch: PolicyEpoch) {
        held = record
        actual = record
        actual?.coming_policy = 0
        actual?.setEpochs(record[epoch.current])
    }

    /// The next epoch is in force.
    mutating func confirm(_ epoch: PolicyEpoch) {
        guard let held, !isNew else { return }
        if held[epoch.current].generation != actual?.generation { needsGeneration = false }
        note(held, epoch)
    }

    /// Connections may be stamped with any generation that was in force: it only ever grows.
    mutating func raiseGeneration(to generation: UInt32) {
        if let own = actual?.generation { actual?.generation = max(own, generation) }
    }
}

extension apus_endpoint {
    /// The addresses that are there.
    var addressList: [IPAddress] {
        [addresses.0, addresses.1].filter { !$0.isAbsent }.map(\.address)
    }

    /// The policies of an endpoint that is the same in every epoch.
    var policies: EndpointPolicies {
        get { self[0].policies }
        set {
            ingress_policy = newValue.ingress.rawValue
            egress_policy = newValue.egress.rawValue
        }
    }

    /// The policies of all epochs.
    var policiesInUse: [UInt32] { PolicyEpoch.all.flatMap { [self[$0].ingress_policy, self[$0].egress_policy] } }

    /// The bridge that the host side is a port of, as far as that is known.
    var bridge: UInt32? {
        let index = flags >> APUS_ENDPOINT_BRIDGE_SHIFT
        return index == 0 ? nil : index
    }

    /// Takes the link and the addresses from a specification; identity and policies stay.
    mutating func take(_ spec: EndpointSpec) {
        let present = spec.addresses.prefix(Int(APUS_ENDPOINT_ADDRESSES)).map { apus_address($0) }
        addresses = (present.first ?? apus_address(), present.dropFirst().first ?? apus_address())
        ifindex = spec.interface
        let shifted = (spec.bridge ?? 0).multipliedReportingOverflow(by: 1 << APUS_ENDPOINT_BRIDGE_SHIFT)
        flags = shifted.overflow ? 0 : shifted.partialValue
        if spec.mac != nil { flags |= UInt32(APUS_ENDPOINT_CHECK_MAC.rawValue) }
        if spec.canRedirect { flags |= UInt32(APUS_ENDPOINT_REDIRECT.rawValue) }
        mac = (spec.mac ?? MACAddress(bits: 0)).octets
        host_mac = spec.hostMAC.octets
    }
}

extension apus_endpoint_epoch {
    var policies: EndpointPolicies {
        EndpointPolicies(ingress: PolicyID(rawValue: ingress_policy), egress: PolicyID(rawValue: egress_policy))
    }
}
