import Foundation
import RegexBuilder
import Testing

/// The page that lists the rows of Services, and what shows each.
@Suite struct ServiceRowPage {
    private static let root = (0..<4).reduce(URL(filePath: #filePath)) { url, _ in url.deletingLastPathComponent() }
    private static let page = root.appending(path: "docs/service-rows.md")
    private static let tests = "Tests/NetworkTests"

    /// A test that declares rows.
    private struct Owner {
        let file: String
        let name: String
    }

    @Test func everyRowHasATestAndThePageNamesThem() throws {
        let owners = try Self.owners()
        for row in ServiceRow.allCases { #expect(owners["\(row)"] != nil, "no test shows '\(row.rawValue)'") }
        let text = Self.text(owners)
        if ProcessInfo.processInfo.environment["APUS_WRITE_FIXTURES"] != nil {
            try text.write(to: Self.page, atomically: true, encoding: .utf8)
        }
        let page = try String(contentsOf: Self.page, encoding: .utf8)
        #expect(page == text, "APUS_WRITE_FIXTURES=1 swift test --filter ServiceRowPage writes docs/service-rows.md")
    }

    /// `docs/kubernetes-e2e.md` names rows by their text, and other tests by links.
    @Test func thePageOfKubernetesTestsNamesWhatThereIs() throws {
        let docs = Self.root.appending(path: "docs")
        let page = try String(contentsOf: docs.appending(path: "kubernetes-e2e.md"), encoding: .utf8)
        let rows = Set(ServiceRow.allCases.map(\.rawValue))
        var named = 0
        for line in page.split(separator: "\n") where line.hasPrefix("|") {
            let cell = line.split(separator: "|").last ?? ""
            for match in cell.matches(of: /`(?<name>[^`]+)`(\]\((?<file>[^)]+)\))?/) {
                named += 1
                if let file = match.file {
                    let text = try String(contentsOf: docs.appending(path: String(file)), encoding: .utf8)
                    #expect(text.contains("func \(match.name)("), "\(match.0)")
                } else {
                    #expect(rows.contains(String(match.name)), "no row is called so: \(match.name)")
                }
            }
        }
        #expect(named > 0)
    }

    /// Who shows each row, as the sources have it.
    private static func owners() throws -> [String: [Owner]] {
        let folder = root.appending(path: tests)
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".swift") }
        let declaration = /\.shows\(\s*(?<rows>\.[^()]+)\)(?<between>(?:(?!\.shows\()[\s\S])*?)func (?<name>\w+)/
        var owners: [String: [Owner]] = [:]
        for file in files.sorted() {
            let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
            for match in text.matches(of: declaration) {
                for row in match.rows.matches(of: /\.(\w+)/).map(\.1) {
                    owners[String(row), default: []].append(Owner(file: file, name: String(match.name)))
                }
            }
        }
        return owners
    }

    private static func text(_ owners: [String: [Owner]]) -> String {
        let rows = ServiceRow.allCases.map { row in
            let cells = ServiceVariant.columns.map { row.variants.contains($0) ? "yes" : "-" }
            let tests = (owners["\(row)"] ?? []).map { "[`\($0.name)`](../\(Self.tests)/\($0.file))" }
            return "| \(row.rawValue) | \(cells.joined(separator: " | ")) | \(tests.joined(separator: ", ")) |"
        }
        let columns = ServiceVariant.columns.map { "\($0)" }
        return """
            # Tested rows of Services

            What a node does for those that ask for a Service ([services.md](services.md)), and the test that shows it with
            real sockets, servers and the real agent. A test fails that does not make the exchange of each of its rows in
            each column that says yes. At its end `swift test --filter NetworkTests` prints the table, with what that run
            has shown.

            This page is written by `APUS_WRITE_FIXTURES=1 swift test --filter ServiceRowPage`, and a test says when it is
            out of date.

            | row | \(columns.joined(separator: " | ")) | test |
            |---|\(columns.map { _ in "---" }.joined(separator: "|"))|---|
            \(rows.joined(separator: "\n"))

            """
    }
}
