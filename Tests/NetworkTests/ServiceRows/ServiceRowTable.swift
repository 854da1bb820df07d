import Foundation
import Synchronization

/// What the tests of this run have shown of Services; it is printed when the run ends.
final class ServiceRowTable: Sendable {
    static let shared = ServiceRowTable()

    private let cells = Mutex<[Cell: Bool]>([:])

    private struct Cell: Hashable {
        let row: ServiceRow
        let variant: ServiceVariant
    }

    /// Swift Testing has no hook for the end of a run. It writes to the standard error, so the table comes after it.
    private static let printsAtExit: Void = {
        atexit { FileHandle.standardError.write(Data(ServiceRowTable.shared.text.utf8)) }
    }()

    /// Adds what a test has shown. A row that a test has failed in stays failed.
    func add(_ sightings: ServiceSightings) {
        Self.printsAtExit
        let hasFailed = sightings.hasFailed
        cells.withLock { cells in
            for row in sightings.rows {
                for variant in hasFailed ? Set(row.variants) : sightings.seen(of: row) {
                    let cell = Cell(row: row, variant: variant)
                    cells[cell] = cells[cell] ?? true && !hasFailed
                }
            }
        }
    }

    /// The table: all rows, also those that this run had no test of.
    var text: String {
        let cells = cells.withLock { $0 }
        let width = ServiceRow.allCases.map(\.rawValue.count).max() ?? 0
        func line(_ title: String, _ columns: [String]) -> String {
            title.padding(toLength: width, withPad: " ", startingAt: 0)
                + columns.map { "  " + $0.padding(toLength: 7, withPad: " ", startingAt: 0) }.joined()
        }
        let lines = ServiceRow.allCases.map { row in
            line(
                row.rawValue,
                ServiceVariant.columns.map { variant in
                    guard row.variants.contains(variant) else { return "-" }
                    return cells[Cell(row: row, variant: variant)].map { $0 ? "ok" : "FAILED" } ?? "not run"
                })
        }
        let run = Set(cells.keys.map(\.row)).count
        return """

            Services, by real sockets in this run (-: there is no such thing):
            \(line("", ServiceVariant.columns.map { "\($0)" }))
            \(lines.joined(separator: "\n"))
            \(run) of \(ServiceRow.allCases.count) rows were run, \(Set(cells.filter { !$0.value }.keys.map(\.row)).count) failed.

            """
    }
}
