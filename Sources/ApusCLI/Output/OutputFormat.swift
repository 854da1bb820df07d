internal import ArgumentParser
internal import Foundation
internal import Yams

/// How a command writes its answer.
package enum OutputFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
    case table, json, yaml

    /// An answer as JSON or YAML: keys are sorted, so equal answers give equal texts.
    func text(_ value: some Encodable) throws -> String {
        switch self {
        case .json, .table:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
        case .yaml:
            let encoder = YAMLEncoder()
            encoder.options.sortKeys = true
            encoder.options.allowUnicode = true
            return try encoder.encode(value)
        }
    }
}

/// A row of a list: the same value gives the table's line and the element of the JSON and YAML lists.
package protocol TableRow: Encodable, Sendable {
    /// The table's columns, a choice of what the row holds.
    static var columns: [Column<Self>] { get }
    /// What is said instead of a table without lines, e.g. `no endpoints`.
    static var absence: String { get }
}

extension Console {
    /// Writes a list in the wanted format.
    func list<Row: TableRow>(_ rows: [Row], as format: OutputFormat) throws {
        guard format == .table else { return try write(format.text(rows)) }
        if rows.isEmpty { note(Row.absence) } else { try write(Table.text(rows, Row.columns)) }
    }

    /// Writes one answer in the wanted format; `table` makes the text for people.
    func answer<Answer: Encodable>(
        _ answer: Answer, as format: OutputFormat, table: (Answer) -> String
    ) throws {
        try write(format == .table ? table(answer) : format.text(answer))
    }
}
