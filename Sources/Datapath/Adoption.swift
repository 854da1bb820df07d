public import Addressing
internal import DatapathABI

extension DatapathTables {
    /// Takes over what the kernel holds, so that endpoints keep their slots and identities, backends their indexes and
    /// frontends their ranges and ids. Call it once, before the first edit.
    ///
    /// What is taken over stays as it is until an edit asks for something else, or until `removeStale`. To take over
    /// from other maps than those that will be written, `repair` with the new ones afterwards: all is written there.
    package mutating func adopt(_ reader: some MapReader) throws(MapError) {
        try adoptInfo(reader)
        for entry in try reader.entries(of: .names) {
            names.adopt(entry)
            if case .pattern(let set, _)? = NameKey(key: entry.key) {
                PatternText(NameKey.text(entry.value))?.pattern.map { domains.adopt($0, in: set) }
            }
        }
        for entry in try reader.entries(of: .policyPages) { policies.pages.adopt(entry) }
        for entry in try reader.entries(of: .policyPeers) { policies.peers.adopt(entry) }
        for entry in try reader.entries(of: .policySinglePorts) { policies.singlePorts.adopt(entry) }
        for entry in try reader.entries(of: .policyPorts) { policies.ports.adopt(entry) }
        epoch.adopt(try reader.elements(of: .policyEpoch).load(UInt32.self) ?? 0)
        for entry in try reader.entries(of: .peerClasses) { policies.adopt(entry, in: 0, epoch) }
        for entry in try reader.entries(of: .peerPrefixes) { policies.adopt(entry, in: 1, epoch) }
        for entry in try reader.entries(of: .dnsResolvers) { resolvers.adopt(entry) }
        for entry in try reader.entries(of: .sourceRanges) { services.sourceRanges.adopt(entry) }
        for entry in try reader.entries(of: .uplinks) { uplinks.adopt(entry) }
        for entry in try reader.entries(of: .nonMasquerade) { nonMasquerade.adopt(entry) }
        for entry in try reader.entries(of: .nodeRanges) { nodeRanges.adopt(entry) }
        try adoptServices(reader)
        try adoptEndpoints(reader)
    }

    private mutating func adoptInfo(_ reader: some MapReader) throws(MapError) {
        let bytes = try reader.elements(of: .info)
        guard let record = InfoRecord(bytes) else { return }
        // The next identity is where all versions have it.
        if record.abiVersion == layouts.version { info.adopt(bytes) }
        endpoints.nextIdentity = max(endpoints.nextIdentity, record.nextIdentity)
        startedAt = record.startedAt
    }

    private mutating func adoptServices(_ reader: some MapReader) throws(MapError) {
        services.adopt(slots: try reader.elements(of: .slots), backends: try reader.elements(of: .backends))
        for (key, value) in names.entries.sorted(by: { memoryOrder($0.key, $1.key) }) {
            if case .service(let id)? = NameKey(key: key) { services.adopt(serviceID: id, NameKey.text(value)) }
        }
        for entry in try reader.entries(of: .services).sorted(by: { memoryOrder($0.key, $1.key) }) {
            services.adopt(entry)
        }
    }

    private mutating func adoptEndpoints(_ reader: some MapReader) throws(MapError) {
        for entry in try reader.entries(of: .endpointAddresses) { endpoints.addresses.adopt(entry) }
        for entry in try reader.entries(of: .interfaces) { endpoints.interfaces.adopt(entry) }
        let elements = try reader.elements(of: .endpoints)
        let size = DatapathTable.endpoints.valueSize
        for slot in 0..<elements.count / size {
            guard let endpoint = elements.load(apus_endpoint.self, at: slot * size) else { continue }
            if endpoint.ifindex != 0, !endpoint.isLeaving {
                let name = names[NameKey.endpoint(slot).key].flatMap { EndpointIdentityName(NameKey.text($0)) }
                endpoints.adopt(slot, endpoint, epoch, name: name)
            } else if !Bytes(of: endpoint).isZero {
                endpoints.adoptLeaving(slot)
            }
        }
    }

    /// Lets go of everything that was taken over and that no edit has asked for since. Only for a caller whose view
    /// of the cluster is full: a pod that it does not know loses its endpoint here.
    ///
    /// The edits so far count as one: on the way to the full view policies may have looked empty, and such states must
    /// not come into force. So after `adopt`, program nothing before this or `keepStale`.
    public mutating func removeStale() {
        keepStale()
        policies.releaseAdopted(names: &names)
        endpoints.releaseAdopted()
        endpoints.removeUnclaimed(names: &names)
        services.removeUnclaimed(names: &names)
        policies.removeUnclaimed()
        resolvers.removeUnclaimed(afterGrace: false)
        uplinks.removeUnclaimed()
        nonMasquerade.removeUnclaimed(afterGrace: false)
        nodeRanges.removeUnclaimed(afterGrace: false)
        names.removeUnclaimed(afterGrace: true)
    }

    /// Instead of `removeStale` for a caller whose view has gaps: the edits so far count as one too, and what nobody
    /// has asked for stays in force. `removeStale` may follow when the view is full.
    ///
    /// - Parameter holdingPolicies: Endpoints that were taken over keep their policies, too, and what is known of peers
    ///   keeps its class, whatever edits say until `removeStale`: policies may be among what the caller can't see, and
    ///   without them the same pods would be judged by less. What is new is judged by what can be seen: see
    ///   `release(peers:)`.
    public mutating func keepStale(holdingPolicies: Bool = false) {
        if holdingPolicies {
            policies.holdAdopted()
            endpoints.holdAdopted()
        }
        takeEdits()
        // Whose an address of this node was stands in the maps.
        release(peers: endpoints.takenOver)
    }

    /// Addresses that belong to other pods than those whose classes are held: they are judged as what they are now.
    /// Those of other nodes' pods can't be told apart from what was before the start, as the maps don't say whose they
    /// are: for them, call this when they change hands later. What was trusted of them to teach names is no more, unless
    /// it is wanted.
    public mutating func release(peers addresses: Set<IPAddress>) {
        policies.release(Set(addresses.map(\.key)), names: &names)
        for key in addresses.map({ CIDR(host: $0).key }) where resolvers.unclaimed.contains(key) {
            resolvers.remove(key)
        }
    }
}
