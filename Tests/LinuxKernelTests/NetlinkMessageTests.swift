import Testing

@testable import LinuxKernel

@Suite struct NetlinkMessageTests {
    @Test("A request parses back to what it was made of")
    func roundTrip() throws {
        let request = NetlinkMessage.request(
            type: 18, flags: 0x300, sequence: 7, fixed: [1, 2, 3, 4], attributes: [(3, [5, 6, 7]), (9, [1, 0, 0, 0])])
        #expect(request.count == 16 + 4 + 8 + 8)
        let message = try #require(NetlinkMessage.parse(request[...]).first)
        #expect(message.type == 18 && message.flags == 0x301 && message.sequence == 7)
        let attributes = NetlinkAttributes(message.payload.dropFirst(4))
        #expect(attributes.bytes(3).map(Array.init) == [5, 6, 7])
        #expect(attributes.number(9, as: UInt32.self) == 1)
        #expect(attributes.number(9, as: UInt16.self) == nil)
    }

    @Test("Cut and random bytes never trap")
    func garbage() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20000 {
            let count = Int.random(in: 0...96, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            if count >= 4, Bool.random(using: &random) { bytes.replaceSubrange(0..<4, with: [UInt8(count), 0, 0, 0]) }
            for message in NetlinkMessage.parse(bytes[...]) { decode(message.payload) }
            decode(bytes[...])
        }
    }

    private func decode(_ payload: ArraySlice<UInt8>) {
        for type in [16, 20, 24] as [UInt16] {
            let message = NetlinkMessage(type: type, flags: 0, sequence: 0, payload: payload)
            _ = NetlinkEvent(message)
        }
    }
}
