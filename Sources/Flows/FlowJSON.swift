internal import FoundationEssentials

/// A flow as one line of JSON, and back.
public enum FlowJSON {
    /// The flow as JSON in one line without its end; keys are sorted, so equal flows give equal lines.
    public static func line(_ flow: Flow) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(flow), as: UTF8.self)
    }

    /// Parses a line.
    public static func flow(_ line: String) throws -> Flow {
        try JSONDecoder().decode(Flow.self, from: Data(line.utf8))
    }
}
