internal import DatapathABI
internal import NetworkPolicy

/// What the entry of page 0 says of a peer or port: the pages with rules that admit it, and the bits of the first of them.
struct LeadingBits: Hashable {
    /// One bit a page.
    private(set) var pages: UInt64 = 0
    private(set) var first = PageBits()

    init() {}

    /// The bits of one page.
    init(page: Int, _ bits: PageBits) {
        if bits.isEmpty { return }
        pages = 1 << UInt64(page)
        first = bits
    }

    /// Adds rules: bits of the same first page are joined, otherwise those of the lower page stay.
    mutating func formUnion(_ other: LeadingBits) {
        let (own, others) = (pages.trailingZeroBitCount, other.pages.trailingZeroBitCount)
        if others < own { first = other.first } else if others == own { first = first | other.first }
        pages |= other.pages
    }

    var value: apus_policy_bits { value(first) }

    /// What the entry of a further page says.
    func value(_ bits: PageBits) -> apus_policy_bits {
        apus_policy_bits(bits: apus_rule_bits(bits), pages: pages)
    }
}

extension RuleBits {
    /// The entries of the rules that admit a peer, by the numbers of their pages; none where no rule does.
    var entries: [(page: Int, value: apus_policy_bits)] {
        let filled = pages.enumerated().filter { !$0.element.isEmpty }
        if filled.isEmpty { return [] }
        var lead = LeadingBits()
        for (page, bits) in filled { lead.formUnion(LeadingBits(page: page, bits)) }
        return [(0, lead.value)] + filled.dropFirst().map { ($0.offset, lead.value($0.element)) }
    }
}

extension CompiledPolicy {
    /// The entries of all ports that its rules name, by the numbers of their pages.
    var portEntries: [(page: Int, ports: PortPrefix, value: apus_policy_bits)] {
        let leads = portLeads
        let leading = leads.keys.sorted().compactMap { ports in leads[ports].map { (0, ports, $0.value) } }
        let further = pages.enumerated().dropFirst().flatMap { number, page in
            page.ports.map { (number, $0.ports, (leads[$0.ports] ?? LeadingBits()).value($0.bits)) }
        }
        return leading + further
    }

    /// What leads to the rules of each prefix, and of the shorter ones that cover it.
    private var portLeads: [PortPrefix: LeadingBits] {
        var leads: [PortPrefix: LeadingBits] = [:]
        for (number, page) in pages.enumerated() {
            for entry in page.ports {
                leads[entry.ports, default: LeadingBits()].formUnion(LeadingBits(page: number, entry.bits))
            }
        }
        // In order, a prefix comes after those that cover it, which are still on the stack.
        var covering: [PortPrefix] = []
        for prefix in leads.keys.sorted() {
            while let last = covering.last, !last.contains(prefix) { covering.removeLast() }
            if let last = covering.last, let more = leads[last] { leads[prefix]?.formUnion(more) }
            covering.append(prefix)
        }
        return leads
    }

    /// The pages with rules that admit every peer, or every port; one bit a page.
    func pages(_ bits: KeyPath<CompiledPage, PageBits>) -> UInt64 {
        pages.enumerated().reduce(0) { $0 | ($1.element[keyPath: bits].isEmpty ? 0 : 1 << UInt64($1.offset)) }
    }
}
