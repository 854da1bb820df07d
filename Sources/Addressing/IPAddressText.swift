extension IPAddress: LosslessStringConvertible {
    /// Parses dotted IPv4 (no leading zeros) or any RFC 4291 §2.2 text of IPv6; nil for anything else, zones included.
    public init?(_ text: String) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let address = IPAddress(v6Text: text) else { return nil }
            self = address
        } else {
            guard let bits = Self.v4Bits(of: text) else { return nil }
            self.init(v4: bits)
        }
    }

    /// The canonical text: dotted for IPv4, RFC 5952 for IPv6.
    public var description: String {
        if let bits = v4Bits {
            return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
        }
        let groups = self.groups
        let zeros = Self.longestZeroRun(in: groups)
        guard let zeros else { return Self.hex(groups[...]) }
        return Self.hex(groups[..<zeros.lowerBound]) + "::" + Self.hex(groups[zeros.upperBound...])
    }

    private var groups: [UInt16] {
        [high, low].flatMap { half in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> UInt64($0)) }
        }
    }

    private static func hex(_ groups: ArraySlice<UInt16>) -> String {
        groups.map { String($0, radix: 16) }.joined(separator: ":")
    }

    /// The longest run of two or more zero groups, the first of equals (RFC 5952 §4.2).
    private static func longestZeroRun(in groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start > max(1, best?.count ?? 1) { best = start..<end }
            start = max(end, start + 1)
        }
        return best
    }

    private static func v4Bits(of text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let octet = decimalOctet(part) else { return nil }
            bits = bits << 8 | UInt32(octet)
        }
        return bits
    }

    private static func decimalOctet(_ text: some StringProtocol) -> UInt8? {
        let digits = text.utf8
        guard (1...3).contains(digits.count), digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        if digits.count > 1, digits.first == 48 { return nil }
        return UInt8(text)
    }

    private init?(v6Text text: String) {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        switch halves.count {
        case 1:
            guard let groups = Self.groups(of: halves[0], mayEndInIPv4: true), groups.count == 8 else { return nil }
            self.init(groups: groups)
        case 2:
            guard let head = Self.groups(of: halves[0], mayEndInIPv4: false),
                let tail = Self.groups(of: halves[1], mayEndInIPv4: true),
                head.count + tail.count < 8
            else { return nil }
            let zeros = [UInt16](repeating: 0, count: 8 - head.count - tail.count)
            self.init(groups: head + zeros + tail)
        default:
            return nil
        }
    }

    private init(groups: [UInt16]) {
        self.init(
            high: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
            low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
    }

    private static func groups(of text: Substring, mayEndInIPv4: Bool) -> [UInt16]? {
        if text.isEmpty { return [] }
        var result: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, part.contains(".") {
                guard let bits = v4Bits(of: part) else { return nil }
                result += [UInt16(bits >> 16), UInt16(bits & 0xffff)]
            } else {
                guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                result.append(group)
            }
        }
        return result
    }
}
