internal import Addressing
internal import Foundation
internal import PolicyGenerators
import Testing
internal import Wire

/// Random messages, and ways to break them.
private struct MessageGenerator {
    var random: RandomSource

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    private mutating func name() -> String {
        let characters = Array("abcXYZ019-_")
        return (0..<number(1...4)).map { _ in
            String((0..<number(1...6)).map { _ in characters[number(0...characters.count - 1)] })
        }.joined(separator: ".")
    }

    private mutating func address() -> IPAddress {
        Bool.random(using: &random)
            ? IPAddress(v4: UInt32.random(in: 0 ... .max, using: &random))
            : IPAddress(high: 0x2001_0db8 << 32 | UInt64(number(0...9)), low: random.next())
    }

    /// A response with what a reader has to find in it.
    mutating func response() -> (message: SentMessage, addresses: [DNSResponse.Address], stray: Int) {
        var message = SentMessage(id: UInt16(number(0...0xffff)), name: name(), type: number(0...1) == 0 ? .a : .aaaa)
        message.flags = 0x8000 | UInt16(number(0...3)) << 9 & 0x0200 | UInt16(number(0...5))
        if number(0...1) == 0 { message.options = (UInt16(number(512...4096)), UInt8(number(0...3))) }
        var (owner, addresses, stray): (String, [DNSResponse.Address], Int) = (message.name, [], 0)
        for _ in 0..<number(0...8) {
            switch number(0...4) {
            case 0:
                // No two names are the same, so an alias never leads back.
                let target = "n\(message.answers.count).\(name())"
                message.answers.append(.init(owner: owner, data: .alias(target)))
                owner = target
            case 1: message.answers.append(.init(owner: owner, data: .raw(type: 16, [3, 1, 2, 3])))
            case 2:
                message.answers.append(.init(owner: "stray.\(name())", data: .address(address())))
                stray += 1
            default:
                let found = DNSResponse.Address(address(), lifetime: UInt32(number(0...100_000)))
                message.answers.append(
                    .init(owner: owner.uppercased(), lifetime: found.lifetime, data: .address(found.address)))
                addresses.append(found)
            }
        }
        return (message, addresses, stray)
    }

    /// Changes a message in a few places, mostly such that most of it still makes sense.
    mutating func mutate(_ bytes: inout [UInt8]) {
        for _ in 0..<number(1...3) where !bytes.isEmpty {
            let place = number(0...bytes.count - 1)
            switch number(0...6) {
            case 0: bytes[place] = UInt8(number(0...255))
            case 1: bytes[place] ^= 1 << UInt8(number(0...7))
            case 2: bytes.removeSubrange(place...)
            case 3:
                bytes.insert(contentsOf: [UInt8](repeating: UInt8(number(0...255)), count: number(1...80)), at: place)
            case 4: bytes.removeSubrange(place..<min(bytes.count, place + number(1...12)))
            case 5: bytes.replaceSubrange(place..<min(bytes.count, place + 2), with: [0xc0, UInt8(number(0...255))])
            default: bytes += bytes[place...]
            }
        }
    }
}

@Suite("Random DNS messages")
struct DNSRandomTests {
    /// Broken messages to parse; `APUS_DNS_MESSAGES` sets another number.
    private static let messages = ProcessInfo.processInfo.environment["APUS_DNS_MESSAGES"].flatMap(Int.init) ?? 200_000
    private static let seeds = [1, UInt64.random(in: 2 ... .max)]

    @Test("What was encoded is what is parsed, compressed or not", arguments: seeds)
    func roundTrip(seed: UInt64) throws {
        var generator = MessageGenerator(random: RandomSource(seed: seed))
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
        var generator = MessageGenerator(random: RandomSource(seed: seed))
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
