internal import DNSMessages
internal import Foundation
import Testing
internal import Wire

@Suite("Random DNS messages")
struct DNSRandomTests {
    /// Broken messages to parse; `APUS_DNS_MESSAGES` sets another number.
    private static let messages = ProcessInfo.processInfo.environment["APUS_DNS_MESSAGES"].flatMap(Int.init) ?? 200_000
    private static let seeds = [1, UInt64.random(in: 2 ... .max)]

    @Test("What was encoded is what is parsed, compressed or not", arguments: seeds)
    func roundTrip(seed: UInt64) throws {
        var generator = MessageGenerator(seed: seed)
        for round in 0..<2_000 {
            let (message, addresses, stray) = generator.response()
            let response = try DNSResponse(DNSEncoder.encode(message, compresses: round % 2 == 0))
            let place = "seed \(seed), round \(round)"
            try #require(response.id == message.id, "\(place)")
            try #require(response.name == message.name.lowercased(), "\(place)")
            try #require(response.type == message.type, "\(place)")
            let code = UInt16(message.options?.upperCode ?? 0) << 4 | message.flags & 0xf
            try #require(response.code.rawValue == code, "\(place)")
            try #require(response.isTruncated == (message.flags & 0x0200 != 0), "\(place)")
            try #require(response.options?.payloadSize == message.options?.payloadSize, "\(place)")
            try #require(response.addresses == addresses, "\(place)")
            try #require(response.strayAddresses == stray, "\(place)")
        }
    }

    @Test("Broken messages are parsed or refused, never more than that", arguments: seeds)
    func mutations(seed: UInt64) throws {
        var generator = MessageGenerator(seed: seed)
        var (parsed, refused) = (0, 0)
        var problems: Set<String> = []
        for round in 0..<Self.messages / 2 {
            var bytes = DNSEncoder.encode(generator.response().message, compresses: round % 4 > 0)
            generator.mutate(&bytes)
            switch Result(catching: { () throws(DNSError) in try DNSResponse(bytes) }) {
            case .success(let response):
                parsed += 1
                let name = response.name.utf8
                let isPlain = name.allSatisfy { (0x21...0x7e).contains($0) && !(0x41...0x5a).contains($0) }
                try #require(isPlain && name.count <= 253, "seed \(seed): \(bytes)")
                // A record of an address takes 15 bytes at least.
                try #require(response.addresses.count * 15 < bytes.count, "seed \(seed): \(bytes)")
            case .failure(let error):
                refused += 1
                problems.insert("\(error.problem)".prefix { $0 != "(" }.description)
                try #require((0...bytes.count).contains(error.offset), "seed \(seed): \(bytes)")
            }
            _ = try? DNSQuery(bytes)
        }
        // Both outcomes and many kinds of refusal have to occur, or the mutations prove little; the rarest come only now and then.
        #expect(parsed > Self.messages / 20 && refused > Self.messages / 20, "seed \(seed): \(parsed), \(refused)")
        #expect(problems.count >= 7, "seed \(seed): \(problems.sorted())")
    }
}
