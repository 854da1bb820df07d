internal import Addressing
internal import BPF
internal import DatapathABI

/// The maps that user space shares with the programs.
final class DatapathMaps {
    let interfaces: BPFMap
    let endpoints: BPFMap
    let endpointAddresses: BPFMap
    let peerClasses: BPFMap
    let peerPrefixes: BPFMap
    let policyEpoch: BPFMap
    let policyPages: BPFMap
    let policyPeers: BPFMap
    let policySinglePorts: BPFMap
    let policyPorts: BPFMap
    let services: BPFMap
    let slots: BPFMap
    let backends: BPFMap
    let connections: BPFMap
    let halfOpen: BPFMap
    let translations: BPFMap
    let disposableTranslations: BPFMap
    let affinities: BPFMap
    let fragments: BPFMap
    let denials: BPFMap
    let events: BPFMap
    let eventCounters: BPFMap
    let drops: BPFMap
    let domainAutomaton: BPFMap
    let dnsResolvers: BPFMap
    let dnsQuestions: BPFMap
    let dnsCounters: BPFMap
    let dnsAnswers: BPFMap
    let learnedAddresses: BPFMap
    let learnedNames: BPFMap
    let dnsMessages: BPFMap
    let dnsStreams: BPFMap
    let sourceRanges: BPFMap
    let uplinks: BPFMap
    let nonMasquerade: BPFMap
    let nodeRanges: BPFMap
    let podQuestions: BPFMap
    let podQuestionCounts: BPFMap
    let nameSeed: BPFMap
    let learnedShares: BPFMap
    let ringShares: BPFMap
    let xdpLinks: BPFMap
    let xdpCounters: BPFMap

    init(_ object: borrowing BPFObject, uplink: borrowing BPFObject, xdp: borrowing BPFObject) throws {
        xdpLinks = try xdp.map("xdp_links")
        xdpCounters = try xdp.map("xdp_counters")
        sourceRanges = try object.map("source_ranges")
        uplinks = try uplink.map("uplinks")
        nonMasquerade = try uplink.map("non_masquerade")
        nodeRanges = try uplink.map("node_ranges")
        interfaces = try object.map("interfaces")
        endpoints = try object.map("endpoints")
        endpointAddresses = try object.map("endpoint_addresses")
        peerClasses = try object.map("peer_classes")
        peerPrefixes = try object.map("peer_prefixes")
        policyEpoch = try object.map("policy_epoch")
        policyPages = try object.map("policy_pages")
        policyPeers = try object.map("policy_peers")
        policySinglePorts = try object.map("policy_single_ports")
        policyPorts = try object.map("policy_ports")
        services = try object.map("services")
        slots = try object.map("slots")
        backends = try object.map("backends")
        connections = try object.map("connections")
        halfOpen = try object.map("half_open")
        translations = try object.map("translations")
        disposableTranslations = try object.map("disposable_translations")
        affinities = try object.map("affinities")
        fragments = try object.map("fragments")
        denials = try object.map("denials")
        events = try object.map("events")
        eventCounters = try object.map("event_counters")
        drops = try object.map("drops")
        domainAutomaton = try object.map("domain_automaton")
        dnsResolvers = try object.map("dns_resolvers")
        dnsQuestions = try object.map("dns_questions")
        dnsCounters = try object.map("dns_counters")
        dnsAnswers = try object.map("dns_answers")
        learnedAddresses = try object.map("learned_addresses")
        learnedNames = try object.map("learned_names")
        dnsMessages = try object.map("dns_messages")
        dnsStreams = try object.map("dns_streams")
        podQuestions = try object.map("pod_questions")
        podQuestionCounts = try object.map("pod_question_counts")
        nameSeed = try object.map("name_seed")
        learnedShares = try object.map("learned_shares")
        ringShares = try object.map("ring_shares")
    }
}
