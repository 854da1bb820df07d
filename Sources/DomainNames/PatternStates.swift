/// The automaton of one pattern. Its size is linear in the pattern's length.
struct PatternStates {
    /// What a pattern asks for at one place.
    private enum Element {
        case character(Int)
        /// Any one character.
        case one
        /// Any number of characters other than the dot.
        case run
        /// Any number of characters.
        case anything
    }

    private let elements: [Element]
    private let pattern: Int
    private var table = StateTable()
    private var states: [[Int]: UInt32] = [[]: StateTable.dead]
    private var pending: [[Int]] = []

    /// The table of a pattern that `number` stands for in its accepting states.
    static func table(of pattern: DomainPattern, number: Int) -> StateTable {
        var states = PatternStates(pattern, number)
        states.explore()
        return states.table
    }

    private init(_ pattern: DomainPattern, _ number: Int) {
        self.pattern = number
        switch pattern.form {
        case .everything: elements = [.anything]
        case .subdomains: elements = [.one, .anything] + Self.elements(of: pattern.text.utf8.dropFirst())
        case .exact, .wildcard: elements = Self.elements(of: pattern.text.utf8[...])
        }
    }

    private static func elements(of text: Substring.UTF8View) -> [Element] {
        text.map { byte in
            byte == UInt8(ascii: "*") ? .run : .character(Int(DomainAlphabet.classOfByte[Int(byte)]))
        }
    }

    /// Gives each reachable set of places a state, in the order in which they are met.
    private mutating func explore() {
        table.start = state(of: closed([0]))
        var done = 0
        while done < pending.count {
            let places = pending[done]
            let from = state(of: places)
            done += 1
            for character in 0..<StateTable.width {
                table.setNext(from, character, state(of: closed(places.flatMap { step($0, character) })))
            }
        }
    }

    private mutating func state(of places: [Int]) -> UInt32 {
        if let known = states[places] { return known }
        let state = table.addState(accepting: places.last == elements.count ? [pattern] : [])
        states[places] = state
        pending.append(places)
        return state
    }

    /// Where a place leads with a character.
    private func step(_ place: Int, _ character: Int) -> [Int] {
        guard place < elements.count else { return [] }
        switch elements[place] {
        case .character(let wanted): return character == wanted ? [place + 1] : []
        case .one: return [place + 1]
        case .run: return character == DomainAlphabet.dot ? [] : [place]
        case .anything: return [place]
        }
    }

    /// Adds what a star may skip, and drops what the furthest star makes needless, sorted.
    ///
    /// Places before a star that was reached can only lead to what the star leads to anyway: places of one set have
    /// passed the same dots, unless `anything` is the star. This keeps the number of sets linear.
    private func closed(_ places: [Int]) -> [Int] {
        if places.isEmpty { return [] }
        var result = Set(places)
        for place in places {
            var place = place
            while isStar(place) {
                place += 1
                result.insert(place)
            }
        }
        let furthest = result.filter { isStar($0) }.max() ?? 0
        return result.filter { $0 >= furthest }.sorted()
    }

    private func isStar(_ place: Int) -> Bool {
        guard place < elements.count else { return false }
        switch elements[place] {
        case .run, .anything: return true
        case .character, .one: return false
        }
    }
}
