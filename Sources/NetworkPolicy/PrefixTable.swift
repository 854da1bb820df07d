internal import Addressing

/// The blocks of the active policies and the boundaries between which the matching blocks are the same.
struct PrefixTable {
    /// Every prefix that begins or interrupts a block, in order, IPv4 first: inside `::/0` its order would interrupt.
    private(set) var boundaries: [CIDR] = []
    private var references: [CIDR: Int] = [:]
    private var blocks: [CIDR: [(matcher: Int, block: AddressBlock)]] = [:]
    /// How many block prefixes there are of each length over the 16-byte form, for IPv4 and for IPv6.
    private var lengths = [[Int]](repeating: [Int](repeating: 0, count: 129), count: 2)
    /// The classes in force.
    var classes: [CIDR: ClassID] = [:]

    /// The atoms of the blocks that hold the whole prefix.
    func atoms(of prefix: CIDR) -> [Atom] {
        var result: [Atom] = []
        let isIPv4 = prefix.address.isIPv4
        for length in 0...prefix.length where lengths[isIPv4 ? 0 : 1][length] > 0 {
            guard let shorter = CIDR(prefix.address, length: length), let holders = blocks[shorter] else { continue }
            for holder in holders where holder.block.contains(prefix) { result.append(Atom(holder.matcher)) }
        }
        return result
    }

    mutating func insert(_ matcher: Int, _ block: AddressBlock) {
        blocks[block.block, default: []].append((matcher, block))
        lengths[block.block.address.isIPv4 ? 0 : 1][block.block.length] += 1
        for boundary in Self.boundaries(of: block) {
            references[boundary, default: 0] += 1
            if references[boundary] == 1 { boundaries.insert(boundary, at: position(of: boundary)) }
        }
    }

    mutating func remove(_ matcher: Int, _ block: AddressBlock) {
        blocks[block.block]?.removeAll { $0.matcher == matcher }
        if blocks[block.block]?.isEmpty == true { blocks[block.block] = nil }
        lengths[block.block.address.isIPv4 ? 0 : 1][block.block.length] -= 1
        for boundary in Self.boundaries(of: block) {
            references[boundary, default: 0] -= 1
            guard references[boundary] == 0 else { continue }
            references[boundary] = nil
            boundaries.remove(at: position(of: boundary))
        }
    }

    func isBoundary(_ prefix: CIDR) -> Bool { references[prefix] != nil }

    /// The prefixes whose class a block has a part in, those that the block itself brings included.
    func affected(by block: AddressBlock) -> Set<CIDR> {
        var result = Set(Self.boundaries(of: block))
        var index = position(of: block.block)
        while index < boundaries.count, block.block.contains(boundaries[index]) {
            result.insert(boundaries[index])
            index += 1
        }
        return result
    }

    private static func boundaries(of block: AddressBlock) -> [CIDR] {
        let own = [block.block] + block.exceptions
        // Keys are 16 bytes in both families, so such an IPv6 prefix covers ::ffff:0:0/96, which is IPv4.
        return own.contains(where: \.coversMappedIPv4) ? own + [CIDR.allIPv4] : own
    }

    private static func precedes(_ left: CIDR, _ right: CIDR) -> Bool {
        if left.address.isIPv4 != right.address.isIPv4 { return left.address.isIPv4 }
        return left < right
    }

    /// The first position whose boundary does not precede `prefix`.
    private func position(of prefix: CIDR) -> Int {
        var low = 0
        var high = boundaries.count
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(boundaries[middle], prefix) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension CIDR {
    /// `0.0.0.0/0`.
    static var allIPv4: CIDR { CIDR(.unspecifiedIPv4, length: 0) ?? CIDR(host: .unspecifiedIPv4) }

    /// Whether this IPv6 prefix holds the 16-byte forms of all IPv4 addresses.
    var coversMappedIPv4: Bool {
        guard !address.isIPv4, length < 96, address.high == 0 else { return false }
        let mask = length <= 64 ? 0 : UInt64.max << UInt64(128 - length)
        return address.low == 0xffff_0000_0000 & mask
    }
}
