/// What `promtool check metrics` says of metrics in text format, a remark a line; empty when it finds nothing.
public func promtoolRemarks(on metrics: String) async throws -> [String] {
    let result = try await run(["promtool", "check", "metrics"], input: metrics, within: .seconds(300))
    // 0: no remarks; 3: remarks; others: the text can't be parsed, or there is no promtool.
    guard let status = result.status, [0, 3].contains(status) else {
        throw LabError("promtool check metrics", result.errors)
    }
    return (result.output + result.errors).split(separator: "\n").map(String.init)
}
