/// A regular expression that is found anywhere in a name, in RE2's syntax as far as names need it.
///
/// Clients write them, and each is put to every answer that is held. So nothing here tries one way after the other: all
/// ways of reading the name so far are one set of positions in the expression (Glushkov's automaton), and a name takes
/// its length times the expression's, whatever that is.
struct QueryPattern: Sendable {
    /// The positions that a name can begin at, and those that it can end at.
    private let ends: QueryPatternParser.Part
    /// Where each position leads.
    private let follow: [UInt128]
    /// The positions that take a symbol.
    private let takers: [UInt128]

    init(_ text: String, _ path: String) throws {
        do throws(QueryPatternParser.Problem) {
            var parser = try QueryPatternParser(text)
            ends = try parser.parse()
            (follow, takers) = (parser.follow, parser.takers)
        } catch {
            throw RequestError(path, "'\(text)' is no regular expression that is taken: \(error.text)")
        }
    }

    func matches(_ query: String) -> Bool {
        if ends.canBeEmpty { return true }
        var state = atEnd(0, QueryPatternParser.start)
        if state & ends.last != 0 { return true }
        for byte in query.utf8 {
            state = reached(from: state) & takers[min(Int(byte), QueryPatternParser.other)]
            if state & ends.last != 0 { return true }
        }
        return atEnd(state, QueryPatternParser.end) & ends.last != 0
    }

    private func reached(from state: UInt128) -> UInt128 {
        var (reached, rest) = (ends.first, state)
        while rest != 0 {
            reached |= follow[rest.trailingZeroBitCount]
            rest &= rest - 1
        }
        return reached
    }

    /// An end of the name is no letter: as many anchors as there are take it.
    private func atEnd(_ state: UInt128, _ symbol: Int) -> UInt128 {
        var found = reached(from: state) & takers[symbol]
        while true {
            let more = found | reached(from: found) & takers[symbol]
            if more == found { return found }
            found = more
        }
    }
}

/// Reads a regular expression into an automaton without empty moves.
struct QueryPatternParser {
    struct Problem: Error { let text: String }

    /// A part of the expression, by the positions that it begins and ends with.
    struct Part {
        var canBeEmpty = true
        var first: UInt128 = 0
        var last: UInt128 = 0
    }

    /// Symbols are the bytes of ASCII, any other byte, and the two ends of the name.
    static let (other, start, end, symbols) = (128, 129, 130, 131)
    private static let mostBytes = 128
    /// Parts that are read, again for each repetition: `(()){100}` has no position and would take for ever.
    private static let mostParts = 1024

    private(set) var follow: [UInt128] = []
    private(set) var takers = [UInt128](repeating: 0, count: symbols)
    private let text: [UInt8]
    private let ignoresCase: Bool
    private var place = 0
    private var parts = 0

    init(_ text: String) throws(Problem) {
        guard text.utf8.count <= Self.mostBytes else { throw Problem(text: "it has more than \(Self.mostBytes) bytes") }
        guard text.utf8.allSatisfy({ $0 < 128 }) else { throw Problem(text: "names are ASCII") }
        ignoresCase = text.hasPrefix("(?i)")
        self.text = Array(text.utf8.dropFirst(ignoresCase ? 4 : 0))
    }

    mutating func parse() throws(Problem) -> Part {
        let whole = try alternatives()
        guard place == text.count else { throw Problem(text: "a ) ends no group") }
        return whole
    }

    private var next: Character? { place < text.count ? Character(Unicode.Scalar(text[place])) : nil }

    private mutating func take(_ wanted: String) -> Bool {
        guard text[place...].starts(with: wanted.utf8) else { return false }
        place += wanted.utf8.count
        return true
    }

    // MARK: Structure

    private mutating func alternatives() throws(Problem) -> Part {
        var whole = try sequence()
        while take("|") {
            let part = try sequence()
            whole.canBeEmpty = whole.canBeEmpty || part.canBeEmpty
            whole.first |= part.first
            whole.last |= part.last
        }
        return whole
    }

    private mutating func sequence() throws(Problem) -> Part {
        var whole = Part()
        while let next, next != "|", next != ")" { append(try repeated(), to: &whole) }
        return whole
    }

    private mutating func append(_ part: Part, to whole: inout Part) {
        lead(whole.last, to: part.first)
        if whole.canBeEmpty { whole.first |= part.first }
        whole.last = part.canBeEmpty ? whole.last | part.last : part.last
        whole.canBeEmpty = whole.canBeEmpty && part.canBeEmpty
    }

    private mutating func lead(_ sources: UInt128, to targets: UInt128) {
        var rest = sources
        while rest != 0 {
            follow[rest.trailingZeroBitCount] |= targets
            rest &= rest - 1
        }
    }

    private mutating func repeated() throws(Problem) -> Part {
        let begin = place
        var part = try atom()
        guard let operation = next, "*+?{".contains(operation) else { return part }
        if operation == "{" {
            let (least, most) = try counts()
            part = try times(least, most, from: begin, first: part)
        } else {
            place += 1
            if operation != "?" { lead(part.last, to: part.first) }
            if operation != "+" { part.canBeEmpty = true }
        }
        // How much is taken first makes no difference to whether anything is found.
        _ = take("?")
        if let next, "*+?{".contains(next) { throw Problem(text: "what is repeated is repeated") }
        return part
    }

    /// `{n}`, `{n,}` or `{n,m}`.
    private mutating func counts() throws(Problem) -> (least: Int, most: Int?) {
        let problem = Problem(text: "after { come one or two numbers up to \(Self.mostBytes) and }")
        guard take("{"), let least = number() else { throw problem }
        var most: Int? = least
        if take(",") { most = number() }
        guard take("}"), least <= Self.mostBytes, most ?? least <= Self.mostBytes, most ?? least >= least else {
            throw problem
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var digits = ""
        while let next, next.isNumber, digits.count < 4 {
            digits.append(next)
            place += 1
        }
        return Int(digits)
    }

    /// An atom again and again: each time it is read anew, with positions of its own.
    private mutating func times(
        _ least: Int, _ most: Int?, from begin: Int, first: Part
    ) throws(Problem) -> Part {
        let behind = place
        var whole = Part()
        for turn in 0..<max(least, most ?? least + 1) {
            var part = first
            if turn > 0 {
                place = begin
                part = try atom()
                place = behind
            }
            if turn >= least {
                part.canBeEmpty = true
                if most == nil { lead(part.last, to: part.first) }
            }
            append(part, to: &whole)
        }
        return whole
    }

    // MARK: Atoms

    private mutating func atom() throws(Problem) -> Part {
        parts += 1
        guard parts <= Self.mostParts, let next else { throw Problem(text: "it is too large") }
        place += 1
        switch next {
        case "(": return try group()
        case "*", "+", "?", "{": throw Problem(text: "there is nothing before a \(next)")
        case "^": return try position { $0 == Self.start }
        case "$": return try position { $0 == Self.end }
        case ".": return try position { $0 <= Self.other }
        case "[":
            let set = try bracket()
            return try position { $0 <= Self.other && set.has($0) }
        case "\\":
            let set = try escaped()
            return try position { $0 <= Self.other && set.has($0) }
        default:
            let set = letter(text[place - 1])
            return try position(set.has)
        }
    }

    private mutating func group() throws(Problem) -> Part {
        if !take("?:"), next == "?" { throw Problem(text: "of groups that begin with (? only (?: is known") }
        let part = try alternatives()
        guard take(")") else { throw Problem(text: "a group does not end") }
        return part
    }

    private mutating func position(_ takes: (Int) -> Bool) throws(Problem) -> Part {
        let number = follow.count
        guard number < UInt128.bitWidth else {
            throw Problem(text: "written out it has more than \(UInt128.bitWidth) letters")
        }
        follow.append(0)
        for symbol in 0..<Self.symbols where takes(symbol) { takers[symbol] |= 1 << number }
        return Part(canBeEmpty: false, first: 1 << number, last: 1 << number)
    }

    // MARK: Letters

    /// Some of the bytes of ASCII, and perhaps all others.
    private struct Letters {
        var ascii: UInt128 = 0
        var hasOthers = false

        init() {}
        init(_ range: ClosedRange<UInt8>) { for byte in range { ascii |= 1 << byte } }
        init(of text: String) { for byte in text.utf8 { ascii |= 1 << byte } }

        func has(_ symbol: Int) -> Bool { symbol < 128 ? ascii >> symbol & 1 == 1 : symbol == other && hasOthers }

        mutating func formUnion(_ more: Letters) {
            ascii |= more.ascii
            hasOthers = hasOthers || more.hasOthers
        }

        var inverted: Letters {
            var letters = self
            letters.ascii = ~ascii
            letters.hasOthers.toggle()
            return letters
        }
    }

    private func letter(_ byte: UInt8) -> Letters { folded(Letters(byte...byte)) }

    private func folded(_ letters: Letters) -> Letters {
        guard ignoresCase else { return letters }
        var all = letters
        for lower in UInt8(ascii: "a")...UInt8(ascii: "z") {
            let pair: UInt128 = 1 << lower | 1 << (lower - 32)
            if letters.ascii & pair != 0 { all.ascii |= pair }
        }
        return all
    }

    private mutating func escaped() throws(Problem) -> Letters {
        guard let next else { throw Problem(text: "there is nothing after a \\") }
        place += 1
        let digits = Letters(UInt8(ascii: "0")...UInt8(ascii: "9"))
        var words = digits
        words.formUnion(Letters(of: "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        let spaces = Letters(of: " \t\n\u{c}\r")
        switch next {
        case "d": return digits
        case "D": return digits.inverted
        case "w": return words
        case "W": return words.inverted
        case "s": return spaces
        case "S": return spaces.inverted
        default:
            if next.isLetter || next.isNumber { throw Problem(text: "\\\(next) is not known") }
            return Letters(of: String(next))
        }
    }

    /// What is between brackets.
    private mutating func bracket() throws(Problem) -> Letters {
        let isInverted = take("^")
        var set = Letters()
        var isFirst = true
        while isFirst || next != "]" {
            isFirst = false
            if next == "[", text[place...].starts(with: "[:".utf8) { throw Problem(text: "[: is not known") }
            guard let low = try bracketed() else { throw Problem(text: "a [ does not end") }
            guard let single = low.single, place + 1 < text.count, next == "-", text[place + 1] != UInt8(ascii: "]")
            else {
                set.formUnion(low.letters)
                continue
            }
            place += 1
            guard let high = try bracketed()?.single, high >= single else {
                throw Problem(text: "between [ and ] the range goes backwards or to no letter")
            }
            set.formUnion(Letters(single...high))
        }
        place += 1
        set = folded(set)
        return isInverted ? set.inverted : set
    }

    /// One letter, or several that an escape stands for; nil at the end.
    private mutating func bracketed() throws(Problem) -> (letters: Letters, single: UInt8?)? {
        guard place < text.count else { return nil }
        let byte = text[place]
        place += 1
        guard byte == UInt8(ascii: "\\") else { return (Letters(byte...byte), byte) }
        let letters = try escaped()
        let isOne = letters.ascii.nonzeroBitCount == 1 && !letters.hasOthers
        return (letters, isOne ? UInt8(letters.ascii.trailingZeroBitCount) : nil)
    }
}
