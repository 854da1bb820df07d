internal import DatapathABI

/// The rules that admit one peer or port, page by page.
struct FixtureBits {
    var pages: [apus_rule_bits]

    init(_ pages: [apus_rule_bits] = []) { self.pages = pages }

    /// Sets the bit of a rule of the whole policy.
    mutating func insert(_ rule: Int) {
        while pages.count <= rule / 256 { pages.append(apus_rule_bits()) }
        pages[rule / 256].insert(rule % 256)
    }

    /// One bit a page: those with any rule.
    var mask: UInt64 {
        pages.enumerated().filter { !$0.element.isEmpty }.reduce(0) { $0 | 1 << UInt64($1.offset) }
    }

    /// The entries: the bits of the first page with any are those of page 0, whichever page that is.
    var entries: [(page: Int, value: apus_policy_bits)] {
        let mask = mask
        let filled = pages.enumerated().filter { !$0.element.isEmpty }
        return filled.enumerated().map { place, page in
            (place == 0 ? 0 : page.offset, apus_policy_bits(bits: page.element, pages: mask))
        }
    }
}

extension apus_rule_bits {
    var isEmpty: Bool { words.0 | words.1 | words.2 | words.3 == 0 }

    mutating func insert(_ bit: Int) {
        withUnsafeMutableBytes(of: &self) { words in
            words.withMemoryRebound(to: UInt64.self) { $0[bit / 64] |= 1 << UInt64(bit % 64) }
        }
    }
}
