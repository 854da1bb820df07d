/// The colours of verdicts (ECMA-48 SGR).
enum Colour: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
}

extension Console {
    /// A word in a colour, on a terminal.
    func paint(_ word: String, _ colour: Colour) -> String {
        usesColour ? "\u{1b}[\(colour.rawValue)m\(word)\u{1b}[0m" : word
    }
}
