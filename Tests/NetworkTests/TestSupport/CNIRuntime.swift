import Addressing
import Foundation
import JSONText
import Synchronization
import TestSupport

/// Runs chains of CNI plugins on a node of a lab as libcni does: one after the other, each with the result of the one
/// before it; backwards to delete.
final class CNIRuntime: Sendable {
    /// What a plugin answers when it fails.
    struct Failure: Error, CustomStringConvertible {
        let plugin: String
        let code: Int
        let message: String

        var description: String { "\(plugin): \(code): \(message)" }
    }

    /// A pod that is connected, by what its last plugin answered.
    struct Connection: Sendable {
        let result: String

        /// The addresses in it.
        var addresses: [IPAddress] {
            let ips = (try? JSONText(result.utf8))?["ips"]?.elements ?? []
            return ips.compactMap { $0["address"]?.string.flatMap { IPAddress(String($0.prefix { $0 != "/" })) } }
        }
    }

    /// Where Debian has the plugins.
    private static let folder = "/usr/lib/cni"

    let node: LabHost
    private let lab: Lab
    private let list: JSONText
    private let results = Mutex<[String: String]>([:])

    /// - Parameter list: a configuration list, as it is in a file of /etc/cni/net.d.
    init(_ lab: Lab, node: String = "node-a", list: String) throws {
        self.lab = lab
        self.node = lab.node(node)
        self.list = try JSONText(list.utf8)
    }

    private var plugins: [JSONText] { list["plugins"]?.elements ?? [] }
    private var network: String { list["name"]?.string ?? "" }

    /// Connects a pod by all plugins. What fails is not undone: the runtime is to call `del`.
    @discardableResult
    func add(_ pod: LabHost, uid: String? = nil, interface: String = "eth0") async throws -> Connection {
        var previous: String?
        for plugin in plugins {
            previous = try await run(plugin, "ADD", pod, uid: uid, interface: interface, previous: previous)
        }
        results.withLock { [previous] in $0["\(pod.name)/\(interface)"] = previous }
        return Connection(result: previous ?? "")
    }

    /// Asks all plugins whether a pod is as they left it.
    func check(_ pod: LabHost, uid: String? = nil, interface: String = "eth0") async throws {
        for plugin in plugins {
            try await run(plugin, "CHECK", pod, uid: uid, interface: interface, previous: result(pod, interface))
        }
    }

    /// Has all plugins take a pod's interface away, the last one first.
    func del(_ pod: LabHost, uid: String? = nil, interface: String = "eth0") async throws {
        for plugin in plugins.reversed() {
            try await run(plugin, "DEL", pod, uid: uid, interface: interface, previous: result(pod, interface))
        }
        results.withLock { $0["\(pod.name)/\(interface)"] = nil }
    }

    /// Asks the last plugin, in the version of the specification that has these commands.
    @discardableResult
    func ask(_ command: String, _ more: String = "") async throws -> String {
        guard let plugin = plugins.last else { return "" }
        let input = "{\"cniVersion\":\"1.1.0\",\"name\":\(JSONText.quoted(network))\(more),"
        return try await exec(plugin, input: input + plugin.text.dropFirst(), ["CNI_COMMAND": command])
    }

    private func result(_ pod: LabHost, _ interface: String) -> String? {
        results.withLock { $0["\(pod.name)/\(interface)"] }
    }

    @discardableResult
    private func run(
        _ plugin: JSONText, _ command: String, _ pod: LabHost, uid: String?, interface: String, previous: String?
    ) async throws -> String {
        let version = list["cniVersion"]?.text ?? "\"\""
        var input = "{\"cniVersion\":\(version),\"name\":\(JSONText.quoted(network)),"
        if let previous { input += "\"prevResult\":\(previous)," }
        let arguments = [
            "IgnoreUnknown=1", "K8S_POD_NAMESPACE=default", "K8S_POD_NAME=\(pod.name)",
            "K8S_POD_INFRA_CONTAINER_ID=c-\(pod.name)", "K8S_POD_UID=\(uid ?? "uid-\(pod.name)")",
        ]
        return try await exec(
            plugin, input: input + plugin.text.dropFirst(),
            [
                "CNI_COMMAND": command, "CNI_CONTAINERID": "c-\(pod.name)", "CNI_IFNAME": interface,
                "CNI_NETNS": "/run/netns/\(pod.namespace)", "CNI_ARGS": arguments.joined(separator: ";"),
            ])
    }

    private func exec(_ plugin: JSONText, input: String, _ environment: [String: String]) async throws -> String {
        let type = plugin["type"]?.string ?? ""
        let path = type == "apus-cni" ? try BuiltProducts.path(of: type) : "\(Self.folder)/\(type)"
        let result = try await node.run(
            [path], input: input, environment: environment.merging(["CNI_PATH": Self.folder]) { $1 }, covered: false)
        if result.succeeded { return result.output }
        guard let error = try? JSONText(result.output.utf8), let code = error["code"]?.integer else {
            throw LabError("run \(type)", "\(result)")
        }
        throw Failure(plugin: type, code: code, message: error["msg"]?.string ?? "")
    }
}

extension CNIRuntime {
    /// How the plugins before apus-cni connect pods.
    enum Primary: String, CaseIterable {
        case ptp, bridge
    }

    /// A list of a primary plugin over ranges of the node's pods, with apus-cni at its end.
    ///
    /// - Parameters:
    ///   - addresses: the only addresses there are; nil: the ranges' own.
    ///   - timeout: how many seconds apus-cni waits.
    static func list(
        _ primary: Primary, _ agent: AgentProcess, in lab: Lab, addresses: [IPAddress]? = nil, timeout: Int = 60
    ) -> String {
        let subnets = ["10.244.1.0/24", "fd00:10:244:1::/64"]
        let ranges = subnets.enumerated().map { index, subnet in
            let only = addresses.map { ",\"rangeStart\":\"\($0[index])\",\"rangeEnd\":\"\($0[index])\"" } ?? ""
            return "[{\"subnet\":\"\(subnet)\"\(only)}]"
        }
        let ipam = """
            {"type":"host-local","dataDir":"\(lab.directory)/ipam","ranges":[\(ranges.joined(separator: ","))],
             "routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}
            """
        let first =
            switch primary {
            case .ptp: "{\"type\":\"ptp\",\"ipam\":\(ipam)}"
            case .bridge: "{\"type\":\"bridge\",\"bridge\":\"pods0\",\"isGateway\":true,\"ipam\":\(ipam)}"
            }
        return """
            {"cniVersion":"1.0.0","name":"pods","plugins":[\(first),
             {"type":"apus-cni","socket":"\(agent.socket)","timeout":\(timeout)}]}
            """
    }
}
