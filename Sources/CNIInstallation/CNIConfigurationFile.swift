internal import CNI
internal import JSONText

/// A file of a directory of CNI configurations.
struct CNIConfigurationFile: Sendable, Hashable {
    /// The endings that runtimes look for.
    private static let endings = [".conf", ".conflist", ".json"]

    let name: String
    let bytes: [UInt8]

    /// Whether runtimes read a file of this name.
    static func isConfiguration(_ name: String) -> Bool { endings.contains { name.hasSuffix($0) } }

    /// What it says; nil while it is no configuration, as one that is being written.
    var content: CNIConfigurationText? { CNIConfigurationText(bytes) }
}

/// What a file says: a list of plugins, or a single one.
struct CNIConfigurationText: Sendable, Hashable {
    let text: JSONText
    let version: String
    let network: String
    /// The plugins of a list; nil where the file is a single one's.
    let plugins: [JSONText]?

    init?(_ bytes: [UInt8]) {
        guard let text = try? JSONText(bytes), text.kind == .object, let network = text["name"]?.string else {
            return nil
        }
        plugins = text["plugins"].flatMap { $0.kind == .list ? $0.elements : nil }
        guard plugins.map({ !$0.isEmpty }) ?? (text["type"]?.string != nil) else { return nil }
        self.text = text
        self.network = network
        version = text["cniVersion"]?.string ?? "0.1.0"
    }

    /// Whether it connects nobody: runtimes bring the loopback up by such a file.
    var isLoopback: Bool { plugins == nil && text["type"]?.string == "loopback" }

    /// Whether our plugin is in it.
    var hasOurs: Bool { !ours.isEmpty }

    /// Whether our plugin in it asks the agent at a socket.
    func asks(_ socket: String) -> Bool {
        ours.contains { ($0["socket"]?.string ?? CNIConfiguration.defaultSocket) == socket }
    }

    private var ours: [JSONText] { (plugins ?? [text]).filter { $0["type"]?.string == CNIConfiguration.type } }
}
