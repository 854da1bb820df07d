internal import BPF
internal import DatapathABI
internal import DatapathObjects
internal import Synchronization

/// Loaded programs and their maps. The verifier takes most of a second, so tests hand them on instead of loading anew.
final class LoadedDatapath: @unchecked Sendable {
    let maps: DatapathMaps
    let fromPod: BPFProgram
    let toPod: BPFProgram
    let fromNetwork: BPFProgram
    let toNetwork: BPFProgram
    let shortcut: BPFProgram
    /// What the agent runs.
    let learnNames: BPFProgram
    let letGoOfNames: BPFProgram
    var ring: RingBuffer
    /// Answers that the agent is to learn.
    var answers: RingBuffer
    /// Those that are told as flows.
    var toldAnswers: RingBuffer
    private let kind: Kind

    /// What has to be the same for one test to use what another one used.
    private struct Kind: Hashable {
        let config: [UInt8]
        let sizes: [String: Int]
    }

    private static let idle = Mutex<[LoadedDatapath]>([])

    /// One that is idle and empty, or a new one. Give it back with `release`.
    static func acquire(_ config: apus_config, sizes: [String: Int]) throws -> LoadedDatapath {
        let kind = Kind(config: withUnsafeBytes(of: config) { Array($0) }, sizes: smallSizes.merging(sizes) { $1 })
        let found = idle.withLock { idle -> LoadedDatapath? in
            idle.firstIndex { $0.kind == kind }.map { idle.remove(at: $0) }
        }
        guard let found else { return try LoadedDatapath(config, kind) }
        try found.clear()
        return found
    }

    func release() { Self.idle.withLock { $0.append(self) } }

    private init(_ config: apus_config, _ kind: Kind) throws {
        self.kind = kind
        var pod = try Self.open(.pod, config, kind.sizes)
        try pod.load()
        var uplink = try Self.open(.uplink, config, kind.sizes)
        var names = try Self.open(.names, config, kind.sizes)
        var xdp = try Self.open(.xdp, config, kind.sizes)
        for name in pod.mapNames where !name.contains(".") {
            if uplink.mapNames.contains(name) { try uplink.reuse(pod.map(name), asMap: name) }
            if names.mapNames.contains(name) { try names.reuse(pod.map(name), asMap: name) }
        }
        try uplink.load()
        for name in xdp.mapNames where !name.contains(".") {
            if pod.mapNames.contains(name) {
                try xdp.reuse(pod.map(name), asMap: name)
            } else if uplink.mapNames.contains(name) {
                try xdp.reuse(uplink.map(name), asMap: name)
            }
        }
        try xdp.load()
        maps = try DatapathMaps(pod, uplink: uplink, xdp: xdp)
        try names.load()
        learnNames = try names.program("learn_names")
        letGoOfNames = try names.program("let_go_of_names")
        fromPod = try pod.program("from_pod")
        toPod = try pod.program("to_pod")
        fromNetwork = try uplink.program("from_network")
        toNetwork = try uplink.program("to_network")
        shortcut = try xdp.program("shortcut")
        ring = try RingBuffer(maps.events)
        answers = try RingBuffer(maps.dnsMessages)
        toldAnswers = try RingBuffer(maps.dnsAnswers)
    }

    /// Maps that are made in advance would cost a hundred megabytes.
    private static let smallSizes = [
        "connections": 4096, "half_open": 4096, "translations": 4096, "disposable_translations": 4096,
        "affinities": 512, "fragments": 512,
        "denials": 4096,
        "services": 256, "slots": 256, "backends": 256, "endpoints": 128, "endpoint_addresses": 1024,
        "events": 1 << 20,
    ]

    private static func open(
        _ image: BPFObjectImage, _ config: apus_config, _ sizes: [String: Int]
    ) throws -> BPFObject {
        var object = try BPFObject(image: image.bytes.span.bytes, name: image.name)
        try object.setConstant("config", to: config)
        for name in object.mapNames { if let size = sizes[name] { try object.setMaxEntries(size, ofMap: name) } }
        return object
    }

    /// Makes all maps as they were when they were new.
    private func clear() throws {
        try maps.interfaces.clear(UInt32.self)
        try maps.endpointAddresses.clear(apus_address.self)
        try maps.peerClasses.clear(apus_address.self)
        try maps.peerPrefixes.clear(apus_prefix_key.self)
        try maps.policyEpoch.zero(UInt32(0))
        try maps.policyPages.clear(apus_policy_page_key.self)
        try maps.policyPeers.clear(apus_policy_peers_key.self)
        try maps.policySinglePorts.clear(apus_policy_ports_key.self)
        try maps.policyPorts.clear(apus_policy_ports_key.self)
        try maps.services.clear(apus_service_key.self)
        try maps.connections.clear(apus_connection_key.self)
        try maps.halfOpen.clear(apus_connection_key.self)
        try maps.translations.clear(apus_translation_key.self)
        try maps.disposableTranslations.clear(apus_translation_key.self)
        try maps.affinities.clear(apus_affinity_key.self)
        try maps.fragments.clear(apus_fragment_key.self)
        try maps.denials.clear(apus_denial_key.self)
        try maps.endpoints.zero(apus_endpoint())
        try maps.slots.zero(UInt32(0))
        try maps.backends.zero(apus_backend())
        try maps.drops.zeroPerCPU()
        try maps.eventCounters.zeroPerCPU()
        try maps.dnsCounters.zeroPerCPU()
        try maps.domainAutomaton.delete(UInt32(0))
        try maps.dnsResolvers.clear(apus_prefix_key.self)
        try maps.dnsQuestions.clear(apus_question_key.self)
        try maps.learnedAddresses.clear(apus_learned_key.self)
        try maps.learnedNames.clear(UInt64.self)
        try maps.learnedShares.clear(UInt32.self)
        try maps.ringShares.clear(UInt32.self)
        try maps.dnsStreams.clear(apus_connection_key.self)
        try maps.sourceRanges.clear(apus_source_range_key.self)
        try maps.uplinks.clear(UInt32.self)
        try maps.xdpLinks.clear(UInt32.self)
        try maps.xdpCounters.zeroPerCPU()
        try maps.nonMasquerade.clear(apus_prefix_key.self)
        try maps.nodeRanges.clear(apus_prefix_key.self)
        try maps.podQuestions.clear(apus_pod_question_key.self)
        try maps.podQuestionCounts.clear(UInt32.self)
        try maps.nameSeed.zero(UInt64(0))
        _ = answers.drain { _ in }
        _ = ring.drain { _ in }
        _ = toldAnswers.drain { _ in }
    }
}

extension BPFMap {
    /// Removes all entries.
    func clear<Key: BitwiseCopyable>(_ type: Key.Type) throws {
        let keys = try keys(as: type)
        if !keys.isEmpty { try delete(keys: keys) }
    }

    /// Writes one value to all elements.
    fileprivate func zero<Value: BitwiseCopyable>(_ value: Value) throws {
        let keys = (0..<UInt32(shape.maxEntries)).map { $0 }
        try update(keys: keys, values: [Value](repeating: value, count: keys.count))
    }

    fileprivate func zeroPerCPU() throws {
        let zeros = [UInt8](repeating: 0, count: (shape.valueSize + 7) / 8 * 8 * PossibleCPUs.count)
        for key in 0..<UInt32(shape.maxEntries) {
            try withUnsafeBytes(of: key) { try update($0.bytes, zeros.span.bytes) }
        }
    }
}

extension LoadedDatapath {
    /// Puts the shortcut on an interface, which can then be said to have received the frame of a test run.
    func attachShortcut(to interface: UInt32) throws -> BPFLink {
        try BPFLink.attach(shortcut, toInterface: interface, .native)
    }
}
