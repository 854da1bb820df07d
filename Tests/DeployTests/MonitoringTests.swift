import Foundation
import TestSupport
import Testing

/// The dashboard and the alerts, as Prometheus' own tool reads them. `NetworkTests` asks an agent for their metrics.
@Suite struct DeployMonitoring {
    private static let dashboard = "deploy/monitoring/dashboard.json"
    private static let alerts = "deploy/monitoring/alerts.yaml"

    /// What promtool says of rules.
    private func check(_ rules: String) async throws -> ProcessResult {
        let path = "\(FileManager.default.temporaryDirectory.path)/apus-rules-\(UUID().uuidString.prefix(8)).yaml"
        try rules.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await run(["promtool", "check", "rules", path], within: .seconds(300))
    }

    private func panels() throws -> [[String: Any]] {
        let data = Data(try Deploy.text(Self.dashboard).utf8)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        return try #require(object["panels"] as? [[String: Any]])
    }

    private func rules() throws -> [Tree] { Tree(try Deploy.object(Self.alerts))["groups"][0]["rules"].list }

    @Test func promtoolFindsNothingInTheAlerts() async throws {
        let result = try await check(try Deploy.text(Self.alerts))
        #expect(result.succeeded, "\(result.output)\(result.errors)")
    }

    @Test func everyAlertSaysHowGraveItIsAndWhatItMeans() throws {
        let rules = try rules()
        #expect(!rules.isEmpty && Set(rules.compactMap { $0["alert"].text }).count == rules.count)
        for rule in rules {
            #expect(["critical", "warning", "info"].contains(rule["labels"]["severity"].text ?? ""))
            #expect(rule["annotations"].keys == ["description", "summary"] && rule["for"].text != nil)
        }
    }

    @Test func thePageOfMetricsTellsOfEveryAlert() throws {
        let rows = try Deploy.text("docs/metrics.md").split(separator: "\n").filter { $0.hasPrefix("| `Apus") }
        let told = rows.flatMap { row in row.matches(of: /`(Apus[A-Za-z]+)`/).map { String($0.1) } }
        #expect(told.sorted() == (try rules().compactMap { $0["alert"].text }.sorted()))
    }

    @Test func everyQueryOfTheDashboardParses() async throws {
        let targets = try panels().flatMap { $0["targets"] as? [[String: Any]] ?? [] }
        let queries = targets.compactMap { $0["expr"] as? String }
        #expect(queries.count == targets.count && queries.count >= 10)
        var rules = "groups:\n  - name: dashboard\n    rules:\n"
        for (number, query) in queries.enumerated() {
            let text = query.replacing("$__rate_interval", with: "1m").replacing("$instance", with: ".*")
            rules += "      - record: query_\(number)\n        expr: '\(text)'\n"
        }
        let result = try await check(rules)
        #expect(result.succeeded, "\(result.output)\(result.errors)")
    }

    @Test func panelsDoNotOverlap() throws {
        let places = try panels().compactMap { $0["gridPos"] as? [String: Int] }
        #expect(Set(places).count == places.count)
        let numbers = try panels().compactMap { $0["id"] as? Int }
        #expect(Set(numbers).count == places.count)
    }
}
