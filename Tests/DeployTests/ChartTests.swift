import Foundation
import Testing

/// The Helm chart makes what the kustomization names.
///
/// Its templates have nothing but values in them, so that Helm's work is to put these in, which is done here without it.
/// `scripts/check-chart` compares what Helm and kustomize themselves make of the two.
@Suite struct DeployChart {
    private func values() throws -> [String: String] {
        try Deploy.object("deploy/chart/values.yaml").mapValues { "\($0)" }
    }

    /// A template with the values put in; what else is in braces stays.
    private func rendered(_ name: String) throws -> String {
        try values().reduce(try Deploy.text("deploy/chart/templates/\(name)")) { text, value in
            text.replacingOccurrences(of: "{{ .Values.\(value.key) }}", with: value.value)
        }
    }

    @Test func theTemplatesRenderedEqualTheManifests() throws {
        let folder = Deploy.root.appendingPathComponent("deploy/chart/templates").path
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(names.sorted() == (try Deploy.resources()).sorted())
        for name in names {
            let text = try rendered(name)
            #expect(!text.contains("{{"), "\(name) has more than values in it")
            let (made, wanted) = (try Deploy.parse(text), try Deploy.object("deploy/manifests/\(name)"))
            #expect(Tree(made).canonical == Tree(wanted).canonical, "\(name)")
        }
    }

    @Test func everyValueIsUsed() throws {
        let templates = try Deploy.resources().map { try Deploy.text("deploy/chart/templates/\($0)") }.joined()
        for name in try values().keys { #expect(templates.contains("{{ .Values.\(name) }}"), "\(name)") }
    }

    @Test func itIsNamedAndVersioned() throws {
        let chart = Tree(try Deploy.object("deploy/chart/Chart.yaml"))
        #expect(chart["apiVersion"].text == "v2" && chart["name"].text == "apus" && chart["version"].text == "0.1.0")
    }
}
