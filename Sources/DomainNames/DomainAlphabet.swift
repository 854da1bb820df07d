/// The characters of a name as the automaton sees them: forty classes, case folded.
///
/// The classes do not depend on the patterns, so a row of the table has one size for ever: a BPF map's value has.
public enum DomainAlphabet {
    /// How many classes there are: letters, digits, dot, hyphen, underscore, and one for every other byte.
    public static let classCount = 40
    /// The class of the dot.
    static let dot = 1

    /// The class of each byte.
    public static let classOfByte: [UInt8] = (0...255).map { classOf(UInt8($0)) }

    /// An ASCII letter in lower case; any other byte as it is.
    static func folded(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func classOf(_ byte: UInt8) -> UInt8 {
        switch folded(byte) {
        case UInt8(ascii: "."): UInt8(dot)
        case UInt8(ascii: "-"): 2
        case UInt8(ascii: "_"): 3
        case let digit where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit): digit - UInt8(ascii: "0") + 4
        case let letter where (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter):
            letter - UInt8(ascii: "a") + 14
        default: 0
        }
    }
}
