package import JSONText

/// The plugin's part of a network configuration, as a runtime hands it over.
package struct CNIConfiguration: Sendable, Hashable {
    /// The type that configurations name the plugin by: the file name of its program.
    package static let type = "apus-cni"
    /// Where the agent listens when the configuration does not say.
    package static let defaultSocket = "/run/apus/apus.sock"
    /// How many seconds ADD waits for the agent when the configuration does not say.
    package static let defaultTimeout = 10
    /// How many it may be told to wait: a runtime gives up after some minutes itself.
    package static let timeouts = 1...120

    package let version: String
    /// The network's name.
    package let name: String
    package let socket: String
    /// In seconds.
    package let timeout: Int
    /// What the plugins before this one made; nil where there is none.
    package let previous: JSONText?
    /// What GC shall keep; nil where it is not told.
    package let validAttachments: [CNIAttachmentKey]?

    /// Reads what came on the standard input.
    package init(_ input: [UInt8]) throws(CNIError) {
        let text = try Self.parse(input)
        version = try Self.string(text, "cniVersion") ?? "0.1.0"
        name = try Self.string(text, "name") ?? ""
        guard CNIEnvironment.isName(name) else {
            throw CNIError(.invalidConfiguration, "name: '\(name)' is not the name of a network")
        }
        socket = try Self.string(text, "socket") ?? Self.defaultSocket
        guard socket.utf8.first == UInt8(ascii: "/"), socket.utf8.count < 108 else {
            throw CNIError(
                .invalidConfiguration, "socket: '\(socket)' is not an absolute path of less than 108 bytes")
        }
        timeout = try Self.timeout(text)
        previous = Self.present(text, "prevResult")
        if let previous, previous.kind != .object {
            throw CNIError(.invalidConfiguration, "prevResult: expected an object")
        }
        validAttachments = try Self.attachments(text)
    }

    /// The version that the input asks for, whatever else is wrong with it.
    package static func version(of input: [UInt8]) -> String? {
        (try? JSONText(input))?["cniVersion"]?.string
    }

    private static func parse(_ input: [UInt8]) throws(CNIError) -> JSONText {
        let text: JSONText
        do throws(JSONTextError) { text = try JSONText(input) } catch {
            throw CNIError(.undecodable, "the network configuration is no JSON: \(error)")
        }
        guard text.kind == .object else {
            throw CNIError(.undecodable, "the network configuration is no JSON object")
        }
        return text
    }

    private static func present(_ text: JSONText, _ name: String) -> JSONText? {
        text[name].flatMap { $0.kind == .null ? nil : $0 }
    }

    private static func string(_ text: JSONText, _ name: String) throws(CNIError) -> String? {
        guard let value = present(text, name) else { return nil }
        guard let string = value.string else {
            throw CNIError(.invalidConfiguration, "\(name): expected a string, got \(value.text)")
        }
        return string
    }

    private static func timeout(_ text: JSONText) throws(CNIError) -> Int {
        guard let value = present(text, "timeout") else { return defaultTimeout }
        guard let seconds = value.integer, timeouts.contains(seconds) else {
            throw CNIError(
                .invalidConfiguration,
                "timeout: expected seconds from \(timeouts.lowerBound) to \(timeouts.upperBound), got \(value.text)")
        }
        return seconds
    }

    /// Runtimes of the first days of version 1.1.0 left `valid-` out.
    private static func attachments(_ text: JSONText) throws(CNIError) -> [CNIAttachmentKey]? {
        let name = "cni.dev/valid-attachments"
        // An empty list of libcni's is null.
        guard let list = text[name] ?? text["cni.dev/attachments"] else { return nil }
        if list.kind == .null { return [] }
        guard list.kind == .list else { throw CNIError(.invalidConfiguration, "\(name): expected a list") }
        var found: [CNIAttachmentKey] = []
        for entry in list.elements {
            guard let container = entry["containerID"]?.string, let interface = entry["ifname"]?.string else {
                throw CNIError(.invalidConfiguration, "\(name): expected containerID and ifname, got \(entry.text)")
            }
            found.append(CNIAttachmentKey(container: container, interface: interface))
        }
        return found
    }
}

/// Which attachment of a network is meant.
package struct CNIAttachmentKey: Sendable, Hashable {
    package let container: String
    package let interface: String

    package init(container: String, interface: String) {
        self.container = container
        self.interface = interface
    }
}
