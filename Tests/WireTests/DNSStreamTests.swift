internal import PolicyGenerators
import Testing
internal import Wire

@Suite("DNS over TCP")
struct DNSStreamTests {
    @Test("However the segments fall, the messages are those that were sent")
    func segments() {
        let messages: [[UInt8]] = [[1, 2, 3], [], Array(repeating: 7, count: 300), [9]]
        let sent = messages.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 0xff)] + $0 }
        var random = RandomSource(seed: 3)
        for round in 0..<200 {
            var stream = DNSStream()
            var received: [[UInt8]] = []
            var rest = sent[...]
            while !rest.isEmpty {
                let segment = Array(rest.prefix(Int.random(in: 1...(round % 2 == 0 ? 3 : 400), using: &random)))
                rest = rest.dropFirst(segment.count)
                stream.append(segment.span.bytes)
                while let message = stream.next() { received.append(message) }
            }
            #expect(received == messages)
            #expect(stream.pendingBytes == 0)
        }
    }

    @Test("A message that has not come whole waits")
    func waits() {
        var stream = DNSStream()
        let segment: [UInt8] = [0, 4, 1, 2]
        stream.append(segment.span.bytes)
        #expect(stream.next() == nil)
        #expect(stream.pendingBytes == 4)
    }
}
