extension DomainPattern {
    /// Whether a name matches, found out from the text alone: for patterns that are in no automaton.
    ///
    /// It takes at most as many steps as the text and the name have characters, multiplied, whatever stars there are.
    ///
    /// - Parameter name: in lower case, without a trailing dot.
    public func matches(_ name: String) -> Bool {
        switch form {
        case .exact: text == name
        case .everything: true
        case .subdomains: name.utf8.count >= text.utf8.count && name.hasSuffix(text.dropFirst())
        case .wildcard: Self.glob(Array(text.utf8), Array(name.utf8))
        }
    }

    /// Where a star took too little, it takes one more: only the last one, as what came before it fits already, and no star
    /// takes a dot.
    private static func glob(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
        var (place, next) = (0, 0)
        /// Behind the last star, and where what it takes ends.
        var star: (next: Int, end: Int)?
        while place < name.count || next < pattern.count {
            if next < pattern.count, pattern[next] == UInt8(ascii: "*") {
                next += 1
                star = (next, place)
            } else if next < pattern.count, place < name.count, pattern[next] == name[place] {
                (place, next) = (place + 1, next + 1)
            } else if let last = star, last.end < name.count, name[last.end] != UInt8(ascii: ".") {
                star = (last.next, last.end + 1)
                (place, next) = (last.end + 1, last.next)
            } else {
                return false
            }
        }
        return true
    }
}
