/// Cuts the body of a watch into lines; where chunks end means nothing.
package struct LineSplitter {
    private let limit: Int
    private var partial: [UInt8] = []

    /// A splitter that refuses lines of more than `limit` bytes.
    package init(limit: Int = 16 << 20) {
        self.limit = limit
    }

    /// Takes in the next bytes, and returns the lines that they complete. What follows the last line end is kept for
    /// the next call; if none comes, it is a line that was cut off.
    package mutating func take(_ bytes: ArraySlice<UInt8>) throws(MalformedBody) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var rest = bytes
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[..<end]
            if partial.isEmpty {
                lines.append(line)
            } else {
                lines.append((partial + line)[...])
                partial = []
            }
            rest = rest[(end + 1)...]
        }
        partial += rest
        if partial.count > limit { throw MalformedBody("a line of the watch is too long") }
        return lines
    }
}
