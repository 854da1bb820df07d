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

    @Test("a direction of more rules than can be in force is an error, and its order is not looked at")
    func tooManyRules() {
        func report(_ count: Int) -> LintReport {
            // The last one repeats the first.
            let ports = Array(1..<count) + [1]
            let rules = ports.map { "{\"ports\":[{\"port\":\($0)}]}" }.joined(separator: ",")
            let head = #""apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"long"}"#
            let text = "{\(head),\"spec\":{\"podSelector\":{},\"ingress\":[\(rules)]}}"
            return ManifestLint.check([LintFile(name: "a.json", content: .text([UInt8](text.utf8)))])
        }
        let long = report(16_400)
        #expect(long.findings.map(\.code) == [.notEnforced] && long.errors == 1)
        #expect(long.findings.first?.field == "spec.ingress")
        #expect(long.findings.first?.message.hasPrefix("has 16400 rules, more than 16384: the pods") == true)
        #expect(report(100).findings.map(\.field) == ["spec.ingress[99]"])
    }

    @Test func aPolicyThatCannotBeReadIsAPolicyAllTheSame() {
        let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {x: 1}\n"
        let report = ManifestLint.check([LintFile(name: "a.yaml", content: .text([UInt8](text.utf8)))])
        #expect(report.errors == 1 && report.notes.isEmpty)
        let none = ManifestLint.check([LintFile(name: "a.yaml", content: .text([]))])
        #expect(none.findings.isEmpty && none.notes == ["no policy in the manifests: nothing to check"])
    }

    @Test func aFileThatCannotBeReadIsAFinding() {
        let report = ManifestLint.check([LintFile(name: "a.yaml", content: .unreadable("can't be read: no"))])
        #expect(report.findings == [LintFinding(.invalid, file: "a.yaml", message: "can't be read: no")])
        #expect(report.errors == 1 && report.warnings == 0)
    }
}
