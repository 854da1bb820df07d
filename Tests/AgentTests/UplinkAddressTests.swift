import Addressing
import Datapath
import LinuxKernel
import Testing

@testable import Agent

@Suite("What the node sends from by an uplink")
struct UplinkAddressTests {
    private static func address(
        _ text: String, on index: UInt32 = 2, _ scope: InterfaceAddress.Scope = .global, isTentative: Bool = false
    ) -> InterfaceAddress {
        InterfaceAddress(
            interfaceIndex: index, address: IPAddress(text)!, prefixLength: 24, scope: scope, isTentative: isTentative)
    }

    private static func chosen(_ addresses: [InterfaceAddress], besides virtual: [String] = []) -> UplinkAddresses? {
        UplinkAddresses.choose(for: [2, 3], from: addresses, besides: Set(virtual.map { IPAddress($0)! }))[2]
    }

    @Test("Its first global address of a family, or that of another uplink")
    func first() {
        let addresses = [
            Self.address("fe80::1", .link), Self.address("10.0.0.1"), Self.address("10.0.0.2"),
            Self.address("2001:db8::1", on: 3), Self.address("2001:db8::2", on: 9),
        ]
        #expect(Self.chosen(addresses) == UplinkAddresses(v4: IPAddress("10.0.0.1"), v6: IPAddress("2001:db8::1")))
        #expect(Self.chosen([]) == UplinkAddresses())
    }

    @Test("None that may turn out to be another host's")
    func tentative() {
        let addresses = [Self.address("2001:db8::1", isTentative: true), Self.address("2001:db8::2")]
        #expect(Self.chosen(addresses)?.v6 == IPAddress("2001:db8::2"))
        #expect(Self.chosen(Array(addresses.prefix(1)))?.v6 == nil)
    }

    @Test("A Service's address comes last")
    func virtual() {
        let addresses = [Self.address("10.0.0.9"), Self.address("10.0.0.1"), Self.address("10.0.0.2", on: 3)]
        #expect(Self.chosen(addresses, besides: ["10.0.0.9"])?.v4 == IPAddress("10.0.0.1"))
        #expect(Self.chosen(addresses, besides: ["10.0.0.9", "10.0.0.1"])?.v4 == IPAddress("10.0.0.2"))
        #expect(Self.chosen(addresses, besides: ["10.0.0.9", "10.0.0.1", "10.0.0.2"])?.v4 == IPAddress("10.0.0.9"))
    }

    @Test("What a route of IPv4 takes is heeded, the least of those that lead out by them")
    func routes() {
        func route(_ destination: String, by interface: UInt32, _ further: [UInt32] = [], mtu: UInt32?) -> Route {
            var route = Route(destination: CIDR(destination)!, interfaceIndex: interface, mtu: mtu)
            route.furtherInterfaces = further
            return route
        }
        let routes = [
            route("0.0.0.0/0", by: 2, mtu: nil), route("10.1.0.0/16", by: 3, mtu: 1400),
            route("10.2.0.0/16", by: 9, [2], mtu: 1450), route("10.3.0.0/16", by: 9, mtu: 600),
            route("2001:db8::/64", by: 2, mtu: 1280),
        ]
        #expect(UplinkAddresses.leastMTU(of: routes, by: [2, 3]) == 1400)
        #expect(UplinkAddresses.leastMTU(of: routes, by: [2]) == 1450)
        #expect(UplinkAddresses.leastMTU(of: [routes[0], routes[4]], by: [2, 3]) == nil)
    }
}
