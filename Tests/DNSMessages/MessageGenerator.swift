internal import Addressing
package import PolicyGenerators
package import Wire

/// Random messages, and ways to break them.
package struct MessageGenerator: Sendable {
    package var random: RandomSource

    package init(seed: UInt64) { random = RandomSource(seed: seed) }

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
    package mutating func response() -> (message: SentMessage, addresses: [DNSResponse.Address], stray: Int) {
        var message = SentMessage(id: UInt16(number(0...0xffff)), name: name(), type: number(0...1) == 0 ? .a : .aaaa)
        message.flags = 0x8000 | UInt16(number(0...3)) << 9 & 0x0200 | UInt16(number(0...5))
        if number(0...1) == 0 { message.options = (UInt16(number(512...4096)), UInt8(number(0...3))) }
        var (owner, addresses, stray): (String, [DNSResponse.Address], Int) = (message.name, [], 0)
        // Mostly short, as tests of many are to be quick; a few as of names with many addresses.
        for _ in 0..<(number(0...31) == 0 ? number(9...90) : number(0...8)) {
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
        message.authorities = others(than: owner)
        message.additionals = others(than: owner)
        return (message, addresses, stray)
    }

    /// Records of the sections behind the answers: what they say of the name in question counts for nothing.
    private mutating func others(than owner: String) -> [SentMessage.Record] {
        (0..<max(0, number(-3...3))).map { _ in
            switch number(0...3) {
            case 0: .init(owner: name(), data: .alias("ns.\(name())"))
            case 1: .init(owner: owner, lifetime: UInt32(number(0...100_000)), data: .address(address()))
            case 2: .init(owner: "ns.\(name())", data: .address(address()))
            // NS and SOA, whose names nobody reads.
            default: .init(owner: owner, data: .raw(type: number(0...1) == 0 ? 2 : 6, [2, 0x6e, 0x73, 0xc0, 0x0c]))
            }
        }
    }

    /// Changes a message in a few places, mostly such that most of it still makes sense.
    package mutating func mutate(_ bytes: inout [UInt8]) {
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
