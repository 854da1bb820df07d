/// Every map of the data path that is pinned; the raw value is its name.
public enum PinnedMap: String, Sendable, Hashable, CaseIterable {
    case info = "datapath_info"
    case interfaces
    case endpoints
    case endpointAddresses = "endpoint_addresses"
    case peerClasses = "peer_classes"
    case peerPrefixes = "peer_prefixes"
    case policyEpoch = "policy_epoch"
    case policyPages = "policy_pages"
    case policyPeers = "policy_peers"
    case policySinglePorts = "policy_single_ports"
    case policyPorts = "policy_ports"
    case services
    case slots
    case backends
    case names
    case connections
    case halfOpen = "half_open"
    case translations
    case disposableTranslations = "disposable_translations"
    case affinities
    case networkNamespaces = "network_namespaces"
    case fragments
    case denials
    case socketTranslations = "socket_translations"
    case connectedSockets = "connected_sockets"
    case socketRecords = "socket_records"
    case events
    case eventCounters = "event_counters"
    case drops
    case xdpLinks = "xdp_links"
    case xdpCounters = "xdp_counters"
    case domainAutomaton = "domain_automaton"
    case dnsResolvers = "dns_resolvers"
    case sourceRanges = "source_ranges"
    case uplinks
    case nonMasquerade = "non_masquerade"
    case nodeRanges = "node_ranges"
    case dnsQuestions = "dns_questions"
    case dnsCounters = "dns_counters"
    case dnsAnswers = "dns_answers"
    case learnedAddresses = "learned_addresses"
    case learnedNames = "learned_names"
}
