internal import Flows
internal import Synchronization

/// Writes flows one by one, as they come.
final class FlowPrinter: Sendable {
    private let console: Console
    private let format: OutputFormat
    private let text = CommandContext.current.flowText
    private let printed = Atomic<Bool>(false)

    init(console: Console, format: OutputFormat) {
        self.console = console
        self.format = format
    }

    /// Whether a flow was written.
    var hasPrinted: Bool { printed.load(ordering: .relaxed) }

    /// Writes a flow: a line for people, a line of JSON, or a document of YAML.
    func print(_ flow: Flow) throws {
        printed.store(true, ordering: .relaxed)
        switch format {
        case .table: try console.line(text.line(flow))
        case .json: try console.line(try FlowJSON.line(flow))
        case .yaml: try console.write("---\n" + format.text(flow))
        }
    }
}
