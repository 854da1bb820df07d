/// One page of rule bits: bit `i` stands for the rule `256 * page + i`.
public struct PageBits: Sendable, Hashable {
    /// Rules in a page.
    public static let width = 256

    /// The bits, the lowest rule in the lowest bit of the first word.
    public var words: SIMD4<UInt64>

    public init(words: SIMD4<UInt64> = .zero) { self.words = words }

    /// The bits at the given positions, each in 0..<256.
    public init(_ positions: some Sequence<Int>) {
        self.init()
        for position in positions { self[position] = true }
    }

    /// Whether the bit at `position` (0..<256) is set.
    public subscript(position: Int) -> Bool {
        get { words[position >> 6] >> UInt64(position & 63) & 1 == 1 }
        set {
            let bit: UInt64 = 1 << UInt64(position & 63)
            if newValue { words[position >> 6] |= bit } else { words[position >> 6] &= ~bit }
        }
    }

    /// Whether no bit is set.
    public var isEmpty: Bool { words == .zero }

    /// The lowest set bit.
    public var lowest: Int? {
        for word in 0..<4 where words[word] != 0 { return word << 6 + words[word].trailingZeroBitCount }
        return nil
    }

    public static func | (left: PageBits, right: PageBits) -> PageBits { PageBits(words: left.words | right.words) }
    public static func & (left: PageBits, right: PageBits) -> PageBits { PageBits(words: left.words & right.words) }
}

/// Bits over all rules of a policy; pages after the last set bit are not kept.
public struct RuleBits: Sendable, Hashable {
    /// The pages from the first rule on; the last one is never empty.
    public private(set) var pages: [PageBits]

    public init() { pages = [] }

    /// The bits of the given rules, numbered from 0 over the whole policy.
    public init(_ rules: some Sequence<Int>) {
        pages = []
        for rule in rules { insert(rule) }
    }

    /// Whether no bit is set.
    public var isEmpty: Bool { pages.isEmpty }

    /// The bits of one page; empty beyond the kept ones.
    public func page(_ index: Int) -> PageBits { index < pages.count ? pages[index] : PageBits() }

    /// The bit of a rule.
    public subscript(rule: Int) -> Bool { page(rule / PageBits.width)[rule % PageBits.width] }

    /// Sets the bit of a rule.
    public mutating func insert(_ rule: Int) {
        let page = rule / PageBits.width
        while pages.count <= page { pages.append(PageBits()) }
        pages[page][rule % PageBits.width] = true
    }

    /// Sets every bit that `other` has.
    public mutating func formUnion(_ other: RuleBits) {
        while pages.count < other.pages.count { pages.append(PageBits()) }
        for index in other.pages.indices { pages[index] = pages[index] | other.pages[index] }
    }

    /// The numbers of the set rules in order.
    public var rules: [Int] {
        pages.enumerated().flatMap { page, bits in
            (0..<PageBits.width).filter { bits[$0] }.map { page * PageBits.width + $0 }
        }
    }
}
