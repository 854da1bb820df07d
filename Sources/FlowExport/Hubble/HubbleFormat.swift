public import Flows
internal import HubbleFlows

/// Flows as the lines of JSON that `hubble observe -o json` prints: what Hubble's file export writes, too.
public struct HubbleFormat: FlowFormat {
    private let selection: FlowSelection
    private let encoder: FlowEncoder

    /// - Parameters:
    ///   - choice: which flows, and which of their fields.
    ///   - node: the name of this node.
    ///   - version: that of the agent.
    ///   - started: when the agent began to take in flows, in nanoseconds since 1970: it makes their UUIDs.
    public init(_ choice: FlowChoice, node: String, version: String, started: UInt64) {
        selection = choice.selection
        encoder = FlowEncoder(node: node, version: version, epoch: started)
    }

    public mutating func take(_ flow: Flow, now: UInt64, into output: inout ExportOutput) {
        guard let response = selection.response(flow, encoder) else { return }
        if let line = response.jsonLine {
            // A line about a loss stands for no flow that was delivered.
            output.records.append(ExportRecord(line, events: flow.kind == .lost ? 0 : 1))
        } else {
            output.dropped[.unwritable, default: 0] += 1
        }
    }
}
