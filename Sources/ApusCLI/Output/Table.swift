/// One column of a table: its heading and how a row fills it.
package struct Column<Row>: Sendable {
    let heading: String
    let isNumber: Bool
    let text: @Sendable (Row) -> String

    /// A column of text, or of numbers, which are aligned to the right.
    package init(_ heading: String, number isNumber: Bool = false, _ text: @escaping @Sendable (Row) -> String) {
        self.heading = heading
        self.isNumber = isNumber
        self.text = text
    }
}

/// Rows under headings, aligned with spaces; no line ends with one.
enum Table {
    private static let gap = "  "

    /// The table's text, each line with its end.
    static func text<Row>(_ rows: [Row], _ columns: [Column<Row>]) -> String {
        let cells = rows.map { row in columns.map { cell($0.text(row)) } }
        let lines = [columns.map(\.heading)] + cells
        let widths = columns.indices.map { index in lines.map { $0[index].count }.max() ?? 0 }
        return lines.map { line in
            let padded = columns.indices.map { pad(line[$0], widths[$0], toTheRight: columns[$0].isNumber) }
            return trimmed(padded.joined(separator: gap)) + "\n"
        }.joined()
    }

    /// Lines of a name and a value, the values aligned.
    static func pairs(_ pairs: [(name: String, value: String)], indent: Int = 0) -> String {
        let width = pairs.map { $0.name.count + 1 }.max() ?? 0
        let margin = String(repeating: " ", count: indent)
        return pairs.map { trimmed(margin + pad($0.name + ":", width, toTheRight: false) + "  " + $0.value) + "\n" }
            .joined()
    }

    /// An empty cell is a dash, so that columns can be counted by tools such as awk.
    private static func cell(_ text: String) -> String { text.isEmpty ? "-" : text }

    private static func pad(_ text: String, _ width: Int, toTheRight: Bool) -> String {
        let spaces = String(repeating: " ", count: max(0, width - text.count))
        return toTheRight ? spaces + text : text + spaces
    }

    private static func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }
}
