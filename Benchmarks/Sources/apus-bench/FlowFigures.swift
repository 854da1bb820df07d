import BenchSupport
import TestSupport

/// What the agent does with records of flows, on one core.
struct FlowFigures {
    let node: LabHost
    /// Where maps can be made for it.
    let bpffs: String
    let settings: Settings

    static let rate = "records decoded and enriched by one core"

    func all() async throws -> [Report.Figure] {
        let command = [
            try BuiltProducts.path(of: "apus-bench"), "flow-cost", "--bpffs", bpffs, "--records", "\(settings.records)",
        ]
        let result = try await node.run(command, within: .seconds(120))
        let values = result.output.split(separator: "\n").compactMap { Double($0) }
        guard result.succeeded, values.count == 5 else { throw LabError("measure records of flows", result.errors) }
        return [
            .init("record of a flow, decoded", values[0], "ns"),
            .init("record of a flow, ends and Service named", values[1], "ns"),
            .init("record of a flow, counted", values[2], "ns"), .init("record of a flow, stored", values[3], "ns"),
            .init(Self.rate, 1e3 / (values[0] + values[1]), "million/s"),
            .init("resident memory of a flow, \(FlowCost.capacity) of them in the store", values[4], "bytes"),
        ]
    }
}
