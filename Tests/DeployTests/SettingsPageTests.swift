import Foundation
import TestSupport
import Testing

/// docs/settings.md lists what `apusd --help` knows.
@Suite struct SettingsPageTests {
    private struct Help: Decodable {
        struct Command: Decodable {
            var arguments: [Argument]
        }
        struct Argument: Decodable {
            struct Name: Decodable {
                var name: String
            }
            var preferredName: Name
            var abstract: String?
        }
        var command: Command
    }

    /// The flag, its variable and its default, as a row of the page begins.
    private func row(_ argument: Help.Argument) throws -> String? {
        let name = argument.preferredName.name
        if ["help", "version"].contains(name) { return nil }
        let text = argument.abstract ?? ""
        let found = try #require(text.firstMatch(of: /\[(APUS_[A-Z_]+)(?:; default: (.*))?\]$/), "--\(name): \(text)")
        let initial = found.2.map(String.init) ?? (name == "node" ? "required" : "none")
        return "| `--\(name)` | `\(found.1)` | \(initial) |"
    }

    @Test func thePageHasEverySettingOfTheAgent() async throws {
        let result = try await run(
            [try BuiltProducts.path(of: "apusd"), "--experimental-dump-help"], within: .seconds(300))
        let help = try JSONDecoder().decode(Help.self, from: Data(result.output.utf8))
        let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/settings.md")
        let lines = try String(contentsOf: page.standardizedFileURL, encoding: .utf8).split(separator: "\n")
        let rows = try help.command.arguments.compactMap(row)
        #expect(rows.count > 40 && lines.count { $0.hasPrefix("| `--") } == rows.count)
        for row in rows { #expect(lines.contains { $0.hasPrefix(row) }, "\(row)") }
    }
}
