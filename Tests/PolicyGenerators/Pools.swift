internal import Addressing
internal import DomainNames
internal import NetworkPolicy

/// The names, labels, addresses and ports that generated objects are made of.
enum Pools {
    static let namespaces = ["alpha", "beta", "gamma"]
    static let podLabels: [(key: String, values: [String])] = [
        ("app", ["web", "db", "api"]), ("tier", ["front", "back"]), ("track", ["stable", "canary"]),
    ]
    static let namespaceLabels: [(key: String, values: [String])] = [
        ("env", ["prod", "dev"]), ("team", ["red", "blue"]),
    ]
    static let nodeLabels: [(key: String, values: [String])] = [
        ("pool", ["edge", "core"]), ("topology.kubernetes.io/zone", ["a", "b"]),
    ]
    static let portNames = ["http", "dns", "metrics"]
    static let containerPorts: [Port] = [53, 80, 81, 443, 8080]
    static let packetPorts: [Port] = [
        0, 1, 52, 53, 54, 79, 80, 81, 82, 442, 443, 1023, 1024, 8079, 8080, 8081, 32768, 65534, 65535,
    ]

    static let domainNames = [
        "example.com", "a.example.com", "b.example.com", "x.a.example.com", "web.test", "api.web.test", "test",
    ]
    /// Patterns of both dialects; some match the same names, and the star of one is not that of the other.
    static let domainPatterns: [DomainPattern] =
        ["example.com", "a.example.com", "web.test"].compactMap { try? DomainPattern(fqdnName: $0) }
        + ["*", "**", "*.example.com", "*.*.example.com", "a*.example.com", "*eb.te*"].compactMap {
            try? DomainPattern(fqdnPattern: $0)
        }
        + ["*.example.com", "*.web.test", "b.example.com"].compactMap { try? DomainPattern(clusterDomain: $0) }

    enum Family { case v4, v6 }

    static func podKey(_ number: Int) -> PodKey {
        PodKey(namespace: namespaces[number % namespaces.count], name: "pod\(number)")
    }

    /// The addresses that belong to a pod's number, of the families that it has.
    static func podAddresses(_ number: Int, _ families: Set<Family>) -> [IPAddress] {
        // Neighbouring pods lie in different /24, /30 and /126.
        let host = UInt32(number / 2 + 2)
        let v4 = IPAddress(v4: 0x0a00_0000 | UInt32(number % 2) << 8 | host)
        let v6 = IPAddress(high: 0xfd00 << 48, low: UInt64(number % 2) << 16 | UInt64(host))
        return (families.contains(.v4) ? [v4] : []) + (families.contains(.v6) ? [v6] : [])
    }

    static let blocks: [CIDR] = [
        "0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.1.0/24", "10.0.0.4/30",
        "10.0.0.2/32", "10.0.1.3/32", "192.168.0.0/16", "192.168.0.1/32", "192.168.0.2/32", "203.0.113.0/24",
        "::/0", "::/1", "fd00::/8", "fd00::/64", "fd00::/112", "fd00::1:0/112", "fd00::4/126", "fd00::2/128",
        "fd01::1/128", "2001:db8::/32",
    ].compactMap { CIDR($0) }

    static let edgeAddresses: [IPAddress] = [
        "0.0.0.1", "127.255.255.255", "128.0.0.1", "9.255.255.255", "10.0.0.0", "10.0.0.3", "10.0.0.4", "10.0.0.7",
        "10.0.0.8", "10.0.0.255", "10.0.1.0", "10.0.1.200", "10.0.2.1", "10.1.0.0", "10.0.0.1", "11.0.0.0",
        "192.168.0.3", "192.168.255.255", "203.0.113.9", "203.0.114.1", "8.8.8.8", "::1", "fd00::1", "fd00::3",
        "fd00::4", "fd00::7", "fd00::ffff", "fd00::1:0", "fd00::1:ffff", "fd00::2:0", "fd00:0:0:1::1", "fe80::1",
        "fd01::1", "2001:db8::1", "2001:db9::1", "8000::1",
    ].compactMap { IPAddress($0) }
}
