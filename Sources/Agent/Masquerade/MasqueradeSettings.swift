public import Addressing

/// Whether and where what pods send leaves in the node's name.
public struct MasqueradeSettings: Sendable, Hashable {
    /// Whether it does at all.
    public var isOn = true
    /// Where to it keeps the pod's address, besides the ranges of the cluster's pods.
    public var exceptions = Self.defaultExceptions

    public init() {}

    /// Ranges that no router of the Internet takes, so that whoever is there is near and may know the way to pods:
    /// those that ip-masq-agent leaves alone, and the same of IPv6. And multicast, of which no answer comes back.
    public static let defaultExceptions: Set<CIDR> = Set(
        [
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // RFC 1918
            "100.64.0.0/10",  // RFC 6598, shared by a provider's customers
            "169.254.0.0/16",  // RFC 3927, link-local
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "240.0.0.0/4",  // RFC 6890
            "224.0.0.0/4",  // multicast
            "fc00::/7",  // RFC 4193, unique local
            "fe80::/10",  // link-local
            "2001:db8::/32",  // RFC 3849, documentation
            "ff00::/8",  // multicast
        ].compactMap { CIDR($0) })

    /// Takes other ranges instead of the default ones of their family.
    public mutating func setExceptions(_ ranges: Set<CIDR>) {
        let families = Set(ranges.map(\.address.isIPv4))
        exceptions = ranges.union(Self.defaultExceptions.filter { !families.contains($0.address.isIPv4) })
    }

    /// Where to pods keep their address, with these ranges of pods.
    func ranges(besides pods: Set<CIDR>) -> Set<CIDR> {
        guard isOn else { return [] }
        return exceptions.union(pods.filter { range in !exceptions.contains { $0.contains(range) } })
    }
}
