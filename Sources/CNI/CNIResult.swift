internal import Addressing
internal import JSONText

/// What the plugins before this one made, as far as it matters here.
package struct CNIResult: Sendable, Hashable {
    /// The addresses of the pod's interface.
    package let addresses: [String]
    /// The names of interfaces on the node: the host's end of the pod's link is among them, if the plugin tells it.
    package let hostInterfaces: [String]

    /// Reads a `prevResult`.
    ///
    /// - Parameter interface: the pod's interface; addresses of others are left out.
    init(_ previous: JSONText, interface: String) throws(CNIError) {
        let interfaces = try Self.list(previous, "interfaces")
        hostInterfaces = interfaces.filter { ($0["sandbox"]?.string ?? "").isEmpty }.compactMap { $0["name"]?.string }
        var addresses: [String] = []
        for entry in try Self.list(previous, "ips") {
            guard let text = entry["address"]?.string, let address = Self.address(text) else {
                throw Self.invalid("ips: '\(entry["address"]?.text ?? "")' is no address with the length of its prefix")
            }
            if let index = entry["interface"]?.integer {
                guard interfaces.indices.contains(index) else {
                    throw Self.invalid("ips: there is no interface \(index)")
                }
                let owner = interfaces[index]
                guard owner["name"]?.string == interface, !(owner["sandbox"]?.string ?? "").isEmpty else { continue }
            }
            addresses.append(address)
        }
        guard !addresses.isEmpty else { throw Self.invalid("ips: there is no address of \(interface)") }
        self.addresses = addresses
    }

    private static func list(_ text: JSONText, _ name: String) throws(CNIError) -> [JSONText] {
        guard let value = text[name], value.kind != .null else { return [] }
        guard value.kind == .list else { throw invalid("\(name): expected a list") }
        return value.elements
    }

    private static func address(_ text: String) -> String? {
        guard CIDR(text) != nil else { return nil }
        return IPAddress(String(text.prefix { $0 != "/" }))?.description
    }

    private static func invalid(_ message: String) -> CNIError {
        CNIError(.invalidConfiguration, "prevResult.\(message)")
    }
}
