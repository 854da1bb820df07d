internal import Addressing
internal import CNI
internal import JSONText

/// Lists of plugins with ours at the end, as text.
enum PluginList {
    /// The network of a list that is all ours.
    static let ownNetwork = "apus"
    /// Where host-local keeps which addresses it gave: a reboot ends all pods and frees them.
    private static let addressDirectory = "/run/cni-ipam-state"
    private static let version = "1.0.0"

    /// Somebody else's configuration with our plugin behind theirs; nothing else of it changes.
    static func chained(
        to file: CNIConfigurationFile, _ content: CNIConfigurationText, _ settings: CNIInstallationSettings
    ) throws(CNIInstallationError) -> [UInt8] {
        guard CNIVersion.supported.contains(content.version) else {
            throw CNIInstallationError(
                "\(file.name) is of CNI version \(content.version): apus-cni can be chained from "
                    + "\(CNIVersion.supported[0]) to \(CNIVersion.newest)")
        }
        guard let last = content.plugins?.last else { return listed(content, settings) }
        // Slices keep the places that they have in the file.
        let text = content.text.bytes
        let before = text[..<last.bytes.endIndex]
        return Array(before) + Array(",\n    \(plugin(settings))".utf8) + Array(text[last.bytes.endIndex...]) + [10]
    }

    /// A list of a single plugin and ours.
    private static func listed(_ content: CNIConfigurationText, _ settings: CNIInstallationSettings) -> [UInt8] {
        let text = """
            {
              "cniVersion": \(JSONText.quoted(content.version)),
              "name": \(JSONText.quoted(content.network)),
              "plugins": [
                \(content.text.text),
                \(plugin(settings))
              ]
            }

            """
        return Array(text.utf8)
    }

    /// The plugins of others that a list of our own needs.
    static let needed = ["ptp", "host-local"]

    /// A list of our own: a link for each pod, with addresses of the node's ranges.
    static func complete(_ ranges: [CIDR], mtu: UInt32?, _ settings: CNIInstallationSettings) -> [UInt8] {
        // host-local gives one address of each set of ranges.
        let families = [true, false].compactMap { isIPv4 in ranges.first { $0.address.isIPv4 == isIPv4 } }
        let sets = families.map { "[{\"subnet\": \"\($0)\"}]" }.joined(separator: ", ")
        let routes = families.map { "{\"dst\": \"\($0.address.isIPv4 ? "0.0.0.0/0" : "::/0")\"}" }
        let text = """
            {
              "cniVersion": "\(version)",
              "name": "\(ownNetwork)",
              "plugins": [
                {
                  "type": "ptp",\(mtu.map { "\n      \"mtu\": \($0)," } ?? "")
                  "ipam": {
                    "type": "host-local",
                    "dataDir": "\(addressDirectory)",
                    "ranges": [\(sets)],
                    "routes": [\(routes.joined(separator: ", "))]
                  }
                },
                \(plugin(settings))
              ]
            }

            """
        return Array(text.utf8)
    }

    private static func plugin(_ settings: CNIInstallationSettings) -> String {
        "{\"type\": \"\(CNIConfiguration.type)\", \"socket\": \(JSONText.quoted(settings.socket)), "
            + "\"timeout\": \(settings.timeout)}"
    }
}
