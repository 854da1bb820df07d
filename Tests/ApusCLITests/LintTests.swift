import Foundation
import Testing

@testable import ApusCLI

@Suite struct `apus policy lint` {
    /// A directory of files that goes with the test.
    private final class Folder {
        let path = "/tmp/apus-lint-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0 ... .max))"

        init(_ files: [String: String]) throws {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (name, text) in files { try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8) }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private static func policy(_ name: String, _ spec: String) -> String {
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: \(name), namespace: shop}
        spec: \(spec)

        """
    }

    private static let clean = policy("deny", "{podSelector: {}}")
    private static let suspicious = policy("open", "{podSelector: {}, ingress: [{}]}")
    private static let broken = policy("broken", "{podSelectr: {}}")

    @Test func `findings are a table, their number is told beside it`() async throws {
        let folder = try Folder(["a.yaml": Self.suspicious, "b.yml": Self.broken, "notes.txt": "no manifest"])
        let outcome = await run("policy", "lint", folder.path, datapath: nil)
        #expect(outcome.code == 1)
        // The length of the path widens its column.
        let output = outcome.output.replacing(folder.path, with: "DIR").replacing(#/[ ]{2,}/#, with: "  ")
        #expect(
            output == """
                SEVERITY  CODE  WHERE  OBJECT  FIELD  MESSAGE
                warning  admits-everything  DIR/a.yaml, document 1  NetworkPolicy shop/open  spec.ingress[0]  \
                has no from and no ports: it admits every peer on every port
                error  invalid  DIR/b.yml, document 1  NetworkPolicy shop/broken  spec.podSelectr  is not known

                """)
        #expect(outcome.notes.hasSuffix("1 error, 1 warning\n"))
    }

    @Test(
        arguments: [
            (clean, false, 0, "nothing found\n"), (clean, true, 0, "nothing found\n"),
            (suspicious, false, 0, "0 errors, 1 warning\n"), (suspicious, true, 1, "0 errors, 1 warning\n"),
            (broken, false, 1, "1 error, 0 warnings\n"),
        ] as [(String, Bool, Int32, String)])
    func `warnings fail only where they are asked to`(
        text: String, strict: Bool, code: Int32, summary: String
    ) async throws {
        let folder = try Folder(["a.yaml": text])
        let arguments = ["policy", "lint", "\(folder.path)/a.yaml"] + (strict ? ["--strict"] : [])
        let outcome = await run(arguments: arguments, datapath: nil)
        #expect(outcome.code == code && outcome.notes.hasSuffix(summary), "\(outcome)")
    }

    @Test func `JSON has every field under its name`() async throws {
        let folder = try Folder(["a.yaml": Self.broken])
        let outcome = await run("policy", "lint", folder.path, "-o", "json", datapath: nil)
        #expect(
            outcome.output.replacing(folder.path, with: "DIR") == """
                [
                  {
                    "code" : "invalid",
                    "document" : 1,
                    "field" : "spec.podSelectr",
                    "file" : "DIR/a.yaml",
                    "message" : "is not known",
                    "object" : "NetworkPolicy shop/broken",
                    "severity" : "error"
                  }
                ]

                """)
    }

    @Test func `a file that is named twice is read once, and files see each other's objects`() async throws {
        let pod =
            "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: web}]}\n"
        let folder = try Folder(["a.yaml": Self.clean, "pod.yaml": pod])
        let outcome = await run("policy", "lint", folder.path, "\(folder.path)/a.yaml", datapath: nil)
        #expect(outcome == Outcome(code: 0, output: "", notes: "nothing found\n"))
    }

    @Test func `paths that are not there, or hold nothing, are no answer`() async throws {
        let missing = await run("policy", "lint", "/nowhere/at/all")
        #expect(missing == Outcome(code: 2, output: "", notes: "apus: there is no file or directory /nowhere/at/all\n"))
        let folder = try Folder(["a.txt": ""])
        let empty = await run("policy", "lint", folder.path)
        #expect(empty.code == 2 && empty.notes.contains("there is no *.yaml, *.yml or *.json in the directory"))
        #expect(await run("policy", "lint").code == 64)
    }
}
