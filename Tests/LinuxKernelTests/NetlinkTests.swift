import Addressing
import LinuxKernel
import Testing

@Suite struct NetlinkTests {
    private static func route(to text: String, _ netlink: inout Netlink) throws -> Route? {
        try netlink.route(to: try #require(IPAddress(text)))
    }

    @Test("Interfaces are listed with their kind, address, state and other end")
    func interfaces() throws {
        let lab = try TwoNamespaces()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let all = try netlink.interfaces()
        let loopback = try #require(all.first { $0.name == "lo" })
        #expect(loopback.isLoopback && loopback.isUp && loopback.index == 1 && loopback.kind == nil)
        let host = try #require(all.first { $0.name == "host0" })
        #expect(host.kind == "veth")
        #expect(host.address == MACAddress("02:00:00:00:00:01"))
        #expect(!host.isUp)
        #expect(host.mtu == 1500)
        #expect(host.peerIndex != nil && host.peerNamespace != nil)
        try lab.run("link set host0 up")
        #expect(try netlink.interface(named: "host0")?.isUp == true)
        #expect(try netlink.interface(index: host.index)?.name == "host0")
        #expect(try netlink.interface(named: "missing") == nil)
        #expect(try netlink.interface(named: "much-too-long-for-a-name") == nil)
        #expect(try netlink.interface(index: 4242) == nil)
    }

    @Test("The address of a veth's other end is found in another namespace and in the same one")
    func peerAddress() throws {
        let lab = try TwoNamespaces()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let host = try #require(try netlink.interface(named: "host0"))
        #expect(try netlink.peerAddress(ofInterface: host.index) == MACAddress("02:00:00:00:00:02"))
        try lab.run("link add name v0 type veth peer name v1 address 02:00:00:00:00:0b")
        let near = try #require(try netlink.interface(named: "v0"))
        #expect(try netlink.peerAddress(ofInterface: near.index) == MACAddress("02:00:00:00:00:0b"))
        #expect(try netlink.peerAddress(ofInterface: 1) == nil)
        #expect(try netlink.peerAddress(ofInterface: 4242) == nil)
    }

    @Test("Addresses and routes of both families are listed and looked up")
    func routes() throws {
        let lab = try TwoNamespaces()
        try lab.run("link set host0 up")
        try lab.run("addr add 10.1.0.1/24 dev host0")
        try lab.run("addr add fd00:1::1/64 dev host0 nodad")
        try lab.run("route add 10.2.0.0/16 via 10.1.0.7 metric 77")
        try lab.run("route add 10.3.0.5/32 dev host0 table 100")
        try lab.run("route add default via fd00:1::7")
        try lab.run("route add blackhole 10.9.0.0/16")
        try lab.run("route add 10.4.0.0/16 nexthop via 10.1.0.8 nexthop via 10.1.0.9")
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let index = try #require(try netlink.interface(named: "host0")).index

        let addresses = try netlink.addresses()
        let expected = InterfaceAddress(
            interfaceIndex: index, address: try #require(IPAddress("10.1.0.1")), prefixLength: 24, scope: .global)
        #expect(addresses.contains(expected))
        #expect(addresses.contains { $0.address == IPAddress("fd00:1::1") && $0.prefixLength == 64 })
        #expect(addresses.contains { $0.address == IPAddress("::1") && $0.scope == .host })

        let routes = try netlink.routes()
        func route(_ text: String) throws -> Route { try #require(routes.first { $0.destination == CIDR(text) }) }
        let metric = try route("10.2.0.0/16")
        #expect(metric.gateway == IPAddress("10.1.0.7") && metric.priority == 77 && metric.interfaceIndex == index)
        #expect(metric.table == Route.mainTable && metric.kind == .unicast)
        #expect(try route("10.3.0.5/32").table == 100)
        #expect(try route("10.9.0.0/16").kind == .blackhole)
        #expect(try route("10.4.0.0/16").gateway == IPAddress("10.1.0.8"))
        #expect(try route("::/0").isDefault)

        let lookup = try #require(try Self.route(to: "10.2.3.4", &netlink))
        #expect(lookup.interfaceIndex == index && lookup.gateway == IPAddress("10.1.0.7"))
        #expect(lookup.preferredSource == IPAddress("10.1.0.1"))
        let own = try #require(try Self.route(to: "10.1.0.1", &netlink))
        #expect(own.kind == .local)
        let six = try #require(try Self.route(to: "fd00:2::1", &netlink))
        #expect(six.gateway == IPAddress("fd00:1::7"))
        for text in ["192.0.2.1", "10.9.1.1"] {
            #expect(try Self.route(to: text, &netlink) == nil)
        }
        // By which entry of a table an address is reached, not what that comes to.
        for (text, entry) in [("10.1.0.9", "10.1.0.0/24"), ("10.2.3.4", "10.2.0.0/16"), ("fd00:1::9", "fd00:1::/64")] {
            let address = try #require(IPAddress(text))
            #expect(try netlink.tableEntry(for: address)?.destination == CIDR(entry), "\(text)")
        }
        #expect(try netlink.tableEntry(for: try #require(IPAddress("192.0.2.1"))) == nil)
    }

    @Test("A dump of thousands of routes is complete")
    func largeDump() throws {
        let lab = try TwoNamespaces()
        try lab.run("link set host0 up")
        try shell(
            "for i in $(seq 0 19); do for j in $(seq 0 249); do echo route add 10.50.$i.$j/32 dev host0; done; done"
                + " | ip -n \(lab.near) -batch -")
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let prefix = try #require(CIDR("10.50.0.0/16"))
        #expect(try netlink.routes().filter { prefix.contains($0.destination) }.count == 5000)
    }

    @Test("Changes arrive as typed events, in order", .timeLimit(.minutes(10)))
    func events() async throws {
        let lab = try TwoNamespaces()
        let events = try NetlinkEvents(inNamespaceAt: lab.nearPath)
        try lab.run("link add name d0 type veth peer name d1")
        try lab.run("link set d0 up")
        try lab.run("addr add 10.7.0.1/24 dev d0")
        try lab.run("route add 10.8.0.0/16 dev d0")
        try lab.run("route del 10.8.0.0/16 dev d0")
        try lab.run("addr del 10.7.0.1/24 dev d0")
        try lab.run("link del d0")
        var seen: [String] = []
        for try await event in events {
            switch event {
            case .interfaceChanged(let link) where link.name == "d0": seen.append(link.isUp ? "up" : "new")
            case .addressAdded(let address) where address.address == IPAddress("10.7.0.1"): seen.append("address")
            case .routeAdded(let route) where route.destination == CIDR("10.8.0.0/16"): seen.append("route")
            case .routeRemoved(let route) where route.destination == CIDR("10.8.0.0/16"): seen.append("-route")
            case .addressRemoved(let address) where address.address == IPAddress("10.7.0.1"): seen.append("-address")
            case .interfaceRemoved(let link) where link.name == "d0": seen.append("-link")
            default: continue
            }
            if seen.last == "-link" { break }
        }
        let distinct = seen.reduce(into: [String]()) { if $0.last != $1 { $0.append($1) } }
        let rest = distinct.drop { $0 != "up" }
        #expect(distinct.first == "new")
        #expect(rest.filter { $0 != "new" } == ["up", "address", "route", "-route", "-address", "-link"])
    }

    @Test("Events that the kernel had no room for are an event", .timeLimit(.minutes(10)))
    func overrun() async throws {
        let lab = try TwoNamespaces()
        let events = try NetlinkEvents(inNamespaceAt: lab.nearPath, bufferSize: 4096)
        try lab.run("link set host0 up")
        try shell(
            "for i in $(seq 0 249); do echo route add 10.60.0.$i/32 dev host0; done | ip -n \(lab.near) -batch -")
        var hasOverrun = false
        for try await event in events where event == .overrun {
            hasOverrun = true
            break
        }
        #expect(hasOverrun)
    }

    @Test("A cancelled iteration ends without an error", .timeLimit(.minutes(10)))
    func cancellation() async throws {
        let lab = try TwoNamespaces()
        let events = try NetlinkEvents(inNamespaceAt: lab.nearPath)
        let task = Task {
            var count = 0
            for try await _ in events { count += 1 }
            return count
        }
        task.cancel()
        _ = try await task.value
    }

    @Test("A namespace that does not exist is an error with its path")
    func missingNamespace() {
        let error = #expect(throws: KernelError.self) { _ = try Netlink(inNamespaceAt: "/run/netns/apus-none") }
        #expect(error?.errno == .noEntry)
        #expect(error?.description.contains("/run/netns/apus-none") == true)
    }
}

@Suite struct XDPFeatureTests {
    @Test("A driver says what it can do with XDP, a veth by what its other end is ready for")
    func features() throws {
        let lab = try TwoNamespaces()
        try lab.run("link set host0 up")
        let index = try Self.index(in: lab)
        #expect(try Self.features(of: index, in: lab).isSuperset(of: [.basic, .redirect]))
        #expect(try !Self.features(of: index, in: lab).contains(.transmit))
        #expect(try Self.features(of: 1, in: lab).isEmpty, "the loopback has none")
    }

    private static func index(in lab: TwoNamespaces) throws -> UInt32 {
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        return try #require(try netlink.interface(named: "host0")).index
    }

    private static func features(of index: UInt32, in lab: TwoNamespaces) throws -> XDPFeatures {
        try NetworkNamespace.run(at: lab.nearPath) { () throws(KernelError) in try XDPFeatures.of(interface: index) }
    }
}
