internal import HubbleFlows

/// Which flows are exported, and which of their fields.
public struct FlowChoice: Sendable {
    let selection: FlowSelection

    /// All of all flows.
    public init() { selection = FlowSelection() }

    /// Fails, with the reason, where a filter can't be understood or asks for what no flow of Apus has.
    ///
    /// - Parameters:
    ///   - allowed: filters of which one has to match, each text with any number of FlowFilters of Hubble in JSON; none:
    ///     all flows are wanted.
    ///   - denied: likewise, filters of which none may match.
    ///   - fields: paths of Hubble's Flow, as `source.pod_name`; none: all fields are wanted. Only Hubble's form has them.
    public init(allowed: [String] = [], denied: [String] = [], fields: [String] = []) throws(FlowChoiceError) {
        do { selection = try FlowSelection(allowed: allowed, denied: denied, fields: fields) } catch {
            throw FlowChoiceError(description: "\(error)")
        }
    }
}

/// Why flows can't be chosen so.
public struct FlowChoiceError: Error, CustomStringConvertible {
    /// For people: which filter, and what is wrong with it.
    public let description: String
}
