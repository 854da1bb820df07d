/// One document of a file as text.
struct DocumentText {
    /// Counted from 1.
    let number: Int
    let bytes: ArraySlice<UInt8>
    /// The line of the file where the text starts, counted from 1.
    let firstLine: Int
}

/// Cuts a file at its `---` and `...` lines before anything is parsed, so that one broken document costs only itself.
///
/// A line that starts with either can't be part of a value (YAML 1.2 §9.1.2), not even of a block of text.
struct DocumentSplitter {
    private let bytes: ArraySlice<UInt8>
    private var documents: [DocumentText] = []
    /// Where the current document starts, and the line of that.
    private var start: Int
    private var startLine = 1
    /// Whether a `---` opened the current document, so that it counts even if it is empty.
    private var isOpened = false
    private var count = 0

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        start = bytes.startIndex
    }

    /// The documents of a file that are not empty.
    static func split(_ bytes: ArraySlice<UInt8>) -> [DocumentText] {
        var splitter = DocumentSplitter(bytes)
        splitter.run()
        return splitter.documents
    }

    private mutating func run() {
        var lineStart = bytes.startIndex
        var line = 1
        while lineStart < bytes.endIndex {
            let lineEnd = bytes[lineStart...].firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.endIndex
            if isMarker("---", lineStart..<lineEnd) {
                finish(at: lineStart)
                (start, startLine, isOpened) = (lineStart, line, true)
            } else if isMarker("...", lineStart..<lineEnd) {
                finish(at: lineStart)
                (start, startLine, isOpened) = (lineEnd, line + 1, false)
            }
            lineStart = lineEnd
            line += 1
        }
        finish(at: bytes.endIndex)
    }

    private func isMarker(_ marker: StaticString, _ line: Range<Int>) -> Bool {
        var cursor = ByteCursor(bytes[line])
        guard cursor.take(marker) else { return false }
        switch cursor.peek {
        case nil, UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): return true
        default: return false
        }
    }

    private mutating func finish(at end: Int) {
        let text = bytes[start..<end]
        let hasContent = Self.hasContent(isOpened ? text.dropFirst(3) : text)
        guard hasContent || isOpened else { return }
        count += 1
        if hasContent { documents.append(DocumentText(number: count, bytes: text, firstLine: startLine)) }
    }

    /// Whether there is more than empty lines, comments and directives.
    private static func hasContent(_ text: ArraySlice<UInt8>) -> Bool {
        var cursor = ByteCursor(text)
        cursor.skipSpace()
        while let byte = cursor.peek {
            guard byte == UInt8(ascii: "#") || byte == UInt8(ascii: "%") else { return true }
            while let next = cursor.peek, next != UInt8(ascii: "\n") { cursor.advance() }
            cursor.skipSpace()
        }
        return false
    }
}
