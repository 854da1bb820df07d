import Kubernetes
import PolicyCases
import Testing

/// The fixtures of the connectivity matrix, without a lab: what they say by hand, and what the documentation says.
@Suite("The policy cases")
struct PolicyCaseTests {
    @Test("There are as many as there should be, each with a name of its own")
    func count() throws {
        let cases = try PolicyCaseFile.all()
        let steps = cases.flatMap(\.steps)
        #expect(cases.count >= 200, "\(cases.count) cases, \(steps.count) states")
        let written = steps.count { $0.written != nil }
        #expect(written >= 40, "\(written) of \(steps.count)")
        let repeated = Dictionary(grouping: steps, by: \.name).filter { $1.count > 1 }.keys
        #expect(repeated.isEmpty)
    }

    @Test("Every manifest is read without a complaint")
    func manifests() throws {
        for step in try PolicyCaseFile.all().flatMap(\.steps) {
            let manifest = Manifest(source: "case.json", bytes: Array(try CaseCluster.manifest(step).utf8))
            #expect(manifest.diagnostics.isEmpty, "\(step.name)")
        }
    }

    @Test("What is written by hand is what the documentation's oracle says")
    func written() throws {
        for step in try PolicyCaseFile.all().flatMap(\.steps) {
            guard let lines = step.written else { continue }
            let documented = ConnectivityMatrix(documentationOf: try CaseCluster.manifest(step))
            let written = try ConnectivityMatrix(written: lines).without(goneIn: step)
            let differences = written.differences(from: documented.without(goneIn: step))
            #expect(differences == [], "\(step.name)")
        }
    }
}
