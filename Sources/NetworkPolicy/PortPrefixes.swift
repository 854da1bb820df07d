internal import Addressing

extension PortRule {
    /// The fewest prefixes that hold exactly the rule's ports; none for a named port or an invalid one.
    var prefixes: [PortPrefix] {
        switch ports {
        case .any: [PortPrefix(ipProtocol, port: 0, length: 0)]
        case .number(let number): PortPrefix.covering(ipProtocol, number, number)
        case .range(let first, let last): PortPrefix.covering(ipProtocol, first, last)
        case .name: []
        }
    }
}

extension PortPrefix {
    /// The fewest prefixes that hold exactly the ports from `first` to `last`; none when the range is no range.
    static func covering(_ ipProtocol: IPProtocol, _ first: Int, _ last: Int) -> [PortPrefix] {
        guard first >= 0, last <= 0xffff, first <= last else { return [] }
        var result: [PortPrefix] = []
        var next = first
        while next <= last {
            var bits = next == 0 ? 16 : min(16, next.trailingZeroBitCount)
            while next + (1 << bits) - 1 > last { bits -= 1 }
            result.append(PortPrefix(ipProtocol, port: Port(next), length: 16 - bits))
            next += 1 << bits
        }
        return result
    }
}

extension CompiledPage {
    /// Port entries from the prefixes that each rule of a page admits, accumulated from short to long prefixes.
    static func portEntries(_ admitted: [(rule: Int, prefixes: [PortPrefix])]) -> [PortEntry] {
        var own: [PortPrefix: PageBits] = [:]
        for (rule, prefixes) in admitted {
            for prefix in prefixes { own[prefix, default: PageBits()][rule] = true }
        }
        return own.keys.sorted().map { prefix in
            var bits = PageBits()
            for length in 0...prefix.length {
                let shorter = PortPrefix(prefix.ipProtocol, port: prefix.port, length: length)
                if let more = own[shorter] { bits = bits | more }
            }
            return PortEntry(ports: prefix, bits: bits)
        }
    }
}
