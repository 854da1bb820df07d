import Foundation
import LoadBalancing
import Testing

@Suite struct ServiceFixtures {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
    static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()) ?? []

    @Test func thereAreFixtures() {
        #expect(Self.names.count >= 8)
    }

    @Test(arguments: names)
    func inputsGiveTheExpectedEditsAndPrograms(name: String) throws {
        let folder = Self.folder.appending(path: name)
        let script = try Script(String(contentsOf: folder.appending(path: "input.txt"), encoding: .utf8))
        var balancer = LoadBalancer(node: "node-a")
        var actual = ""
        for (line, input) in script.commands {
            let edits = balancer.apply(input).filter { !$0.frontend.isRest }
            actual += "> \(line)\n" + edits.map { Rendering.text($0) + "\n" }.joined()
        }
        actual += Rendering.state(balancer)
        let file = folder.appending(path: "expected.txt")
        if ProcessInfo.processInfo.environment["APUS_WRITE_FIXTURES"] == "1" {
            try actual.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try actual == String(contentsOf: file, encoding: .utf8))
    }
}
