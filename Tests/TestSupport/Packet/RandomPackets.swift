public import Addressing

/// A reproducible source of randomness (SplitMix64): the same seed gives the same run on every machine.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

/// An endless supply of frames: whole packets of every shape that the builder knows, and damaged ones.
public struct RandomPackets: Sendable {
    /// The addresses that packets have; both families, mixed only by damage.
    public var addresses: [IPAddress]
    /// The ports that packets have.
    public var ports: [Port]
    /// The link layer of every frame.
    public var link: (source: MACAddress, destination: MACAddress)

    private var generator: SeededGenerator

    public init(
        seed: UInt64, addresses: [IPAddress], ports: [Port] = [53, 80, 443, 8080, 40000],
        link: (source: MACAddress, destination: MACAddress) = (mac("0a:58:0a:f4:01:0a"), mac("ee:ee:ee:ee:ee:ee"))
    ) {
        precondition(!addresses.isEmpty && !ports.isEmpty)
        self.addresses = addresses
        self.ports = ports
        self.link = link
        generator = SeededGenerator(seed: seed)
    }

    /// A well-formed packet, possibly a fragment.
    public mutating func wellFormed() -> Packet {
        let whole = transport(on: network())
        guard one(in: 12) else { return whole }
        let fragments = whole.fragments(of: 8 * random(1...8))
        return fragments[random(0...(fragments.count - 1))]
    }

    /// A frame: one in `share` is well-formed, the others are damaged in one or more ways.
    public mutating func frame(wellFormedOneIn share: Int = 4) -> [UInt8] {
        var bytes = wellFormed().bytes
        if one(in: share) { return bytes }
        for _ in 0..<random(1...3) { damage(&bytes) }
        return bytes
    }
}

extension RandomPackets {
    private mutating func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    private mutating func one(in count: Int) -> Bool { random(1...count) == 1 }
    private mutating func byte() -> UInt8 { UInt8(random(0...255)) }
    private mutating func bytes(_ range: ClosedRange<Int>) -> [UInt8] { (0..<random(range)).map { _ in byte() } }
    private mutating func port() -> Port { ports[random(0...(ports.count - 1))] }

    private mutating func network() -> Packet {
        var packet = Packet.ethernet(from: link.source, to: link.destination)
        if one(in: 20) { packet = packet.vlan(UInt16(random(0...4095))) }
        let source = addresses[random(0...(addresses.count - 1))]
        let family = addresses.filter { $0.isIPv4 == source.isIPv4 }
        let destination = family[random(0...(family.count - 1))]
        if source.isIPv4 {
            return packet.ipv4(
                from: source, to: destination, ttl: byte(), typeOfService: byte(), doNotFragment: one(in: 2),
                options: one(in: 6) ? [1] + bytes(0...38) : [])
        }
        packet = packet.ipv6(from: source, to: destination, hopLimit: byte(), flowLabel: UInt32(random(0...0xfffff)))
        if one(in: 4) {
            for _ in 0..<random(1...4) {
                let kind = IPv6Extension.Kind.allCases[random(0...3)]
                packet = packet.ipv6Extension(kind, options: bytes(0...30))
            }
        }
        return packet
    }

    private mutating func transport(on packet: Packet) -> Packet {
        let (source, destination) = (port(), port())
        let payload = bytes(0...64)
        switch random(0...6) {
        case 0, 1:
            return packet.tcp(
                from: source, to: destination, flags: TCPFlags(rawValue: byte()), sequence: UInt32(random(0...0xffff)),
                options: one(in: 3) ? bytes(0...40) : []
            ).payload(payload)
        case 2, 3: return packet.udp(from: source, to: destination).payload(payload)
        case 4: return packet.sctp(from: source, to: destination, tag: 7).payload(payload)
        case 5: return packet.icmp(type: byte(), code: byte(), rest: UInt32(random(0...0xffff))).payload(payload)
        default: return icmpError(on: packet)
        }
    }

    private mutating func icmpError(on packet: Packet) -> Packet {
        guard let outer = packet.layers.last(where: { $0.addresses != nil })?.addresses else { return packet }
        let inner = Packet.raw.ip(from: outer.destination, to: outer.source)
            .tcp(from: port(), to: port(), flags: .ack)
        let errors: [ICMPError] = [.portUnreachable, .hostUnreachable, .tooBig(mtu: 1280), .timeExceeded]
        return packet.icmpError(errors[random(0...3)], quoting: inner, limit: random(0...60))
    }

    private mutating func damage(_ frame: inout [UInt8]) {
        switch random(0...5) {
        case 0: frame.removeLast(random(0...frame.count))
        case 1: frame += bytes(1...200)
        case 2: frame = Array(frame.prefix(14)) + bytes(0...200)
        default:  // most headers end within the first 80 bytes, and lengths and types are what confuses parsers
            for _ in 0..<random(1...4) where !frame.isEmpty {
                frame[random(0...(min(frame.count, 80) - 1))] = byte()
            }
        }
    }
}
