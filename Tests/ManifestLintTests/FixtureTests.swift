import Foundation
import ManifestLint
import Testing

/// Folders of manifests in, findings out.
///
/// With `APUS_WRITE_FIXTURES=1` the expected files are written instead; read the difference before it is committed.
@Suite struct LintFixtures {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
    static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()) ?? []

    private static func report(_ name: String) throws -> LintReport {
        let folder = folder.appending(path: name)
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().filter {
            $0.hasSuffix(".yaml")
        }
        return ManifestLint.check(
            try files.map { file in
                LintFile(name: file, content: .text([UInt8](try Data(contentsOf: folder.appending(path: file)))))
            })
    }

    @Test(arguments: names)
    func manifestsHaveTheExpectedFindings(name: String) throws {
        let report = try Self.report(name)
        let lines =
            report.findings.map { finding in
                let place = finding.file + (finding.document.map { ":\($0)" } ?? "")
                let what = [finding.object, finding.field, finding.message].compactMap { $0 }.joined(separator: ": ")
                return "\(finding.severity.rawValue) \(finding.code.rawValue) \(place) \(what)\n"
            } + report.notes.map { "note \($0)\n" }
        let actual = lines.joined()
        let file = Self.folder.appending(path: "\(name)/expected.txt")
        if ProcessInfo.processInfo.environment["APUS_WRITE_FIXTURES"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try actual == String(contentsOf: file, encoding: .utf8))
    }

    @Test func everyCodeIsFoundSomewhere() throws {
        let found = try Self.names.flatMap { try Self.report($0).findings.map(\.code) }
        #expect(Set(LintCode.allCases).subtracting(found).isEmpty)
    }

    @Test func aFileThatCannotBeReadIsAFinding() {
        let report = ManifestLint.check([LintFile(name: "a.yaml", content: .unreadable("can't be read: no"))])
        #expect(report.findings == [LintFinding(.invalid, file: "a.yaml", message: "can't be read: no")])
        #expect(report.errors == 1 && report.warnings == 0)
    }
}
