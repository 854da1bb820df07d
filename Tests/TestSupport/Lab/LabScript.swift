internal import Addressing

/// The shell scripts that build a lab and its parts: one child process, whatever the number of namespaces.
struct LabScript {
    /// The lab's unique name, the prefix of its namespaces' names.
    let id: String
    private(set) var text = ""

    /// The hardware address of the node's end of every pod's veth.
    static let gatewayMAC = "ee:ee:ee:ee:ee:ee"

    func namespace(_ host: String) -> String { "\(id)-\(host)" }

    /// Makes namespaces with settings that let a fresh address work at once.
    mutating func add(namespaces hosts: [String]) {
        let adds = hosts.map { "netns add \(namespace($0))" }
        text += "ip -batch - <<'BATCH'\n\(adds.joined(separator: "\n"))\nBATCH\n"
        for host in hosts {
            text += """
                nsenter --net=/run/netns/\(namespace(host)) sh -eu <<'SETTINGS'
                cd /proc/sys/net
                for scope in all default; do
                    echo 0 >ipv4/conf/$scope/rp_filter
                    echo 0 >ipv4/conf/$scope/send_redirects
                    echo 0 >ipv6/conf/$scope/accept_dad
                    echo 0 >ipv6/conf/$scope/accept_ra
                done
                ip link set lo up
                SETTINGS

                """
        }
    }

    mutating func add(forwarding host: String) {
        text += """
            nsenter --net=/run/netns/\(namespace(host)) sh -eu <<'SETTINGS'
            echo 1 >/proc/sys/net/ipv4/ip_forward
            echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
            SETTINGS

            """
    }

    /// Runs `ip` commands inside a host's namespace.
    mutating func add(in host: String, _ commands: [String]) {
        text += "ip -n \(namespace(host)) -batch - <<'BATCH'\n\(commands.joined(separator: "\n"))\nBATCH\n"
    }

    /// A plain shell command.
    mutating func add(command: String) { text += command + "\n" }
}

extension LabScript {
    /// The veth pair of a pod and the routes of both its ends; the pod's namespace exists already.
    ///
    /// The pod's gateways are addresses that no interface has: only their hardware address matters, and it never
    /// changes, so the neighbour entries are permanent. The node resolves its pods by ARP and neighbour discovery.
    mutating func join(_ pod: PodPlan, to node: String) {
        let device = LabHost.hostInterface(of: pod.name)
        let hardware = LabHost.macAddress(for: pod.addresses)
        add(
            in: node,
            [
                "link add \(device) address \(Self.gatewayMAC) type veth peer name eth0 address \(hardware) "
                    + "netns \(namespace(pod.name))",
                "link set \(device) up",
            ] + pod.addresses.map { "route add \(CIDR(host: $0)) dev \(device)" })
        add(
            in: pod.name,
            ["link set eth0 up"]
                + pod.addresses.flatMap { address in
                    let gateway = address.isIPv4 ? "169.254.1.1" : "fe80::1"
                    return [
                        "address add \(CIDR(host: address)) dev eth0",
                        "neighbour add \(gateway) lladdr \(Self.gatewayMAC) dev eth0 nud permanent",
                        "route add default via \(gateway) dev eth0 onlink",
                    ]
                })
    }

    /// The fabric: a bridge that is also the router between the nodes, the outside and the rest of the world.
    mutating func addFabric(_ plan: LabPlan) {
        add(namespaces: [Self.fabric])
        add(forwarding: Self.fabric)
        let prefixes = zip(LabPlan.fabricRouters, LabPlan.fabricRanges).map { "\($0)/\($1.length)" }
        add(
            in: Self.fabric,
            ["link add fabric type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set fabric up"]
                + prefixes.map { "address add \($0) dev fabric" })
        let uplinks = plan.nodes.map { ($0.name, $0.addresses) } + plan.outside.map { ($0.name, $0.addresses) }
        for (index, uplink) in uplinks.enumerated() {
            connect(uplink.0, addresses: uplink.1, port: "port\(index)")
        }
        for node in plan.nodes where plan.routesPods {
            route(node.podRanges.map(\.description), via: node.addresses, in: plan)
        }
        for host in plan.outside {
            guard !host.moreAddresses.isEmpty else { continue }
            add(in: host.name, host.moreAddresses.map { "address add \(CIDR(host: $0)) dev lo" })
            add(in: Self.fabric, Self.routes(host.moreAddresses.map(\.description), via: host.addresses))
        }
    }

    /// A bare veth between two hosts.
    mutating func join(_ pair: PairPlan) {
        let (left, right) = pair.names
        add(in: left, ["link add eth0 type veth peer name eth0 netns \(namespace(right))", "link set eth0 up"])
        add(in: right, ["link set eth0 up"])
        for (host, addresses) in [(left, pair.addresses.left), (right, pair.addresses.right)] {
            add(in: host, addresses.map { "address add \($0)/\($0.isIPv4 ? 24 : 64) dev eth0" })
        }
    }

    /// The name of the fabric's namespace; no host may have it.
    static let fabric = "fabric"

    private mutating func connect(_ host: String, addresses: [IPAddress], port: String) {
        add(
            in: Self.fabric,
            [
                "link add \(port) type veth peer name eth0 netns \(namespace(host))",
                "link set \(port) master fabric up",
            ])
        let lengths = LabPlan.fabricRanges
        add(
            in: host,
            ["link set eth0 up"]
                + addresses.map { address in
                    let length = lengths.first { $0.contains(address) }?.length ?? (address.isIPv4 ? 32 : 128)
                    return "address add \(address)/\(length) dev eth0"
                } + Self.routes(["default"], via: LabPlan.fabricRouters))
    }

    /// Hosts next to a node reach its pods directly, without the detour over the fabric's router.
    private mutating func route(_ ranges: [String], via node: [IPAddress], in plan: LabPlan) {
        let others = plan.nodes.filter { $0.addresses != node }.map(\.name) + plan.outside.map(\.name)
        for host in others + [Self.fabric] { add(in: host, Self.routes(ranges, via: node)) }
    }

    /// A route to each destination via the gateway of its family; `default` means both families.
    private static func routes(_ destinations: [String], via gateways: [IPAddress]) -> [String] {
        destinations.flatMap { destination in
            gateways.filter { destination == "default" || $0.isIPv4 != destination.contains(":") }
                .map { "route add \(destination) via \($0)" }
        }
    }
}
