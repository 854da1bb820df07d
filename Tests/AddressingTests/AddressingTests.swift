import Addressing
import Testing

@Suite struct AddressText {
    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("fd00:0:0:1::", "fd00:0:0:1::"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::", "::"), ("::1", "::1"), ("FE80::A", "fe80::a"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ])
    func addressesPrintCanonically(text: String, canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
    }

    @Test(arguments: [
        "", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1.2", "1::2::3", ":::", "1:2:3:4:5:6:7", "g::1", "::1.2.3",
        "1:2:3:4:5:6:7:8:9", "12345::", "::1.2.3", "1.2.3.4::", "fe80::1%eth0", "+1.0.0.0", " ::1",
    ])
    func nonsenseIsNoAddress(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func bytesRoundTrip() {
        for text in ["10.1.2.3", "fd00:10:244::7"] {
            let address = IPAddress(text)!
            #expect(IPAddress(bytes: address.bytes) == address)
        }
        #expect(IPAddress(bytes: [10, 1, 2, 3]) == IPAddress("10.1.2.3"))
        #expect(IPAddress(bytes: [1, 2, 3]) == nil)
    }

    @Test func prefixesHoldWhatTheyShould() {
        let prefix = CIDR("10.244.1.9/24")!
        #expect(prefix.description == "10.244.1.0/24" && prefix.mappedLength == 120)
        #expect(prefix.contains(IPAddress("10.244.1.255")!) && !prefix.contains(IPAddress("10.244.2.0")!))
        #expect(!CIDR("::/0")!.contains(IPAddress("10.0.0.1")!) && CIDR("0.0.0.0/0")!.contains(IPAddress("10.0.0.1")!))
        #expect(CIDR("fd00::/8")!.contains(CIDR("fd00:1::/32")!) && !CIDR("fd00:1::/32")!.contains(CIDR("fd00::/8")!))
        #expect(CIDR("10.0.0.0/33") == nil && CIDR("fd00::/129") == nil && CIDR("10.0.0.0") == nil)
    }

    @Test func hardwareAddressesRoundTrip() {
        #expect(MACAddress("0a:58:0A:f4:01:02")?.description == "0a:58:0a:f4:01:02")
        #expect(MACAddress("0a:58:0a:f4:01") == nil && MACAddress("0a:58:0a:f4:01:0g") == nil)
    }

    @Test func protocolsParseByNameAndNumber() {
        #expect(IPProtocol("tcp") == .tcp && IPProtocol("132") == .sctp && IPProtocol("nope") == nil)
        #expect(IPProtocol(rawValue: 47).description == "47")
    }
}
