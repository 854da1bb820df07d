import Addressing
import LinuxKernel
import Testing

@Suite struct NetlinkWrites {
    private static func ip(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
    private static func cidr(_ text: String) throws -> CIDR { try #require(CIDR(text)) }
    private static let origin = Route.Origin(rawValue: 97)

    /// The namespace with its link up and addresses on it.
    private func lab() throws -> TwoNamespaces {
        let lab = try TwoNamespaces()
        try lab.run("link set host0 up")
        try lab.run("addr add 10.1.0.1/24 dev host0")
        try lab.run("addr add fd00:1::1/64 dev host0 nodad")
        return lab
    }

    @Test("Routes are made, changed and removed, and those of others stay", arguments: [true, false])
    func routes(isIPv4: Bool) throws {
        let lab = try lab()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let index = try #require(try netlink.interface(named: "host0")).index
        let destination = try Self.cidr(isIPv4 ? "10.2.0.0/24" : "fd00:2::/64")
        // Not on the link as far as other routes say.
        let gateways = try (isIPv4 ? ["10.1.0.7", "192.0.2.7"] : ["fd00:1::7", "fd00:99::7"]).map(Self.ip)
        try lab.run("\(isIPv4 ? "-4" : "-6") route add \(destination) via \(gateways[0]) metric 500")
        func ours() throws -> [Route] { try netlink.routes().filter { $0.origin == Self.origin } }
        for (gateway, mtu) in [(gateways[0], nil), (gateways[1], UInt32(1400))] {
            let route = Route(
                destination: destination, interfaceIndex: index, gateway: gateway, priority: 97, origin: Self.origin,
                mtu: mtu)
            try netlink.replace(route)
            try netlink.replace(route)
            #expect(try ours() == [route])
        }
        let route = try #require(try ours().first)
        #expect(try netlink.routes().count { $0.destination == destination } == 2)
        try netlink.remove(route)
        try netlink.remove(route)
        let left = try netlink.routes().filter { $0.destination == destination }
        #expect(left.map(\.priority) == [500] && left.map(\.origin) == [.boot])
        #expect(throws: KernelError.self) {
            try netlink.replace(Route(destination: destination, interfaceIndex: 4242, gateway: gateways[0]))
        }
    }

    @Test("A route of IPv4 may lead to a neighbour of IPv6")
    func otherFamily() throws {
        let lab = try lab()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let index = try #require(try netlink.interface(named: "host0")).index
        let route = Route(
            destination: try Self.cidr("10.2.0.0/24"), interfaceIndex: index, gateway: try Self.ip("fd00:1::7"),
            priority: 97, origin: Self.origin)
        try netlink.replace(route)
        #expect(try netlink.routes().filter { $0.origin == Self.origin } == [route])
    }

    @Test("A VXLAN device is made, read, changed and removed", arguments: ["10.1.0.1", "fd00:1::1"])
    func overlay(local: String) throws {
        let lab = try lab()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let settings = VXLANSettings(identifier: 0xabcdef, port: 4789, local: try Self.ip(local))
        let address = try #require(MACAddress("02:61:0a:01:00:01"))
        try netlink.addVXLAN(named: "over0", settings, mtu: 1430, address: address)
        #expect(throws: KernelError.self) {
            try netlink.addVXLAN(named: "over0", settings, mtu: 1430, address: address)
        }
        let made = try #require(try netlink.interface(named: "over0"))
        #expect(made.kind == "vxlan" && made.vxlan == settings && made.mtu == 1430 && made.address == address)
        #expect(!made.isUp && made.alias == nil)
        let other = try #require(MACAddress("02:61:0a:01:00:02"))
        try netlink.setInterface(made.index, mtu: 1300, address: other, alias: "a note", isUp: true)
        let changed = try #require(try netlink.interface(index: made.index))
        #expect(changed.isUp && changed.mtu == 1300 && changed.address == other && changed.alias == "a note")
        try netlink.setInterface(made.index, mtu: 1400)
        #expect(try netlink.interface(index: made.index)?.isUp == true)
        try netlink.removeInterface(made.index)
        try netlink.removeInterface(made.index)
        #expect(try netlink.interface(named: "over0") == nil)
    }

    @Test("An overlay's addresses, neighbours and forwarding entries are made, changed and removed")
    func neighbours() throws {
        let lab = try lab()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let settings = VXLANSettings(identifier: 97, port: 4789, local: try Self.ip("10.1.0.1"))
        let hardware = try #require(MACAddress("02:61:0a:01:00:02"))
        try netlink.addVXLAN(
            named: "over0", settings, mtu: 1430, address: try #require(MACAddress("02:61:0a:01:00:01")))
        let index = try #require(try netlink.interface(named: "over0")).index
        try netlink.setInterface(index, isUp: true)
        for text in ["10.2.1.0", "fd00:2:1::"] {
            let address = InterfaceAddress(
                interfaceIndex: index, address: try Self.ip(text), prefixLength: text.contains(":") ? 128 : 32)
            try netlink.add(address)
            try netlink.add(address)
            #expect(try netlink.addresses().contains(address))
            try netlink.remove(address)
            try netlink.remove(address)
            #expect(try !netlink.addresses().contains(address))
        }
        var wanted = try [
            Neighbour(.addresses, interfaceIndex: index, address: Self.ip("10.2.2.0"), hardware: hardware),
            Neighbour(.addresses, interfaceIndex: index, address: Self.ip("fd00:2:2::"), hardware: hardware),
            Neighbour(.forwarding, interfaceIndex: index, address: Self.ip("10.1.0.2"), hardware: hardware),
        ]
        for entry in wanted { try netlink.replace(entry) }
        #expect(Set(try netlink.permanentNeighbours(ofInterface: index)) == Set(wanted))
        wanted[0].hardware = MACAddress("02:61:0a:01:00:03")
        wanted[2].address = try Self.ip("10.1.0.3")
        for entry in wanted { try netlink.replace(entry) }
        #expect(Set(try netlink.permanentNeighbours(ofInterface: index)) == Set(wanted))
        for entry in wanted + wanted { try netlink.remove(entry) }
        #expect(try netlink.permanentNeighbours(ofInterface: index).isEmpty)
    }

    @Test("Neighbours that somebody sets and removes are told of where that was asked for")
    func events() async throws {
        let lab = try lab()
        var netlink = try Netlink(inNamespaceAt: lab.nearPath)
        let index = try #require(try netlink.interface(named: "host0")).index
        let events = try NetlinkEvents(inNamespaceAt: lab.nearPath, neighbours: true)
        let entry = Neighbour(
            .addresses, interfaceIndex: index, address: try Self.ip("10.1.0.9"),
            hardware: MACAddress("02:61:0a:01:00:09"))
        try netlink.replace(entry)
        try netlink.remove(entry)
        var iterator = events.makeAsyncIterator()
        var seen: [NetlinkEvent] = []
        while let event = try await iterator.next() {
            seen.append(event)
            if case .neighbourRemoved(let gone) = event, gone.address == entry.address { break }
        }
        #expect(seen.contains(.neighbourChanged(entry)))
    }
}
