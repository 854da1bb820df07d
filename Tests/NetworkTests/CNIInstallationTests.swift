import Addressing
import AgentAPI
import Foundation
import JSONText
import TestSupport
import Testing

extension PodNetworkTests {
    /// The agent keeps the plugin and its configuration where a runtime looks for them.
    @Suite(.serialized) struct CNIInstallations {
        /// A node's directories.
        private struct Places {
            let configurations: String
            let programs: String

            init(_ lab: Lab) throws {
                configurations = "\(lab.directory)/net.d"
                programs = "\(lab.directory)/cni-bin"
                try FileManager.default.createDirectory(atPath: configurations, withIntermediateDirectories: true)
            }

            var options: [String] { ["--cni", "on"] + directories }
            var directories: [String] { ["--cni-conf-dir", configurations, "--cni-bin-dir", programs] }

            func text(_ name: String) -> String? {
                try? String(contentsOfFile: "\(configurations)/\(name)", encoding: .utf8)
            }

            func write(_ name: String, _ text: String) throws {
                try text.write(toFile: "\(configurations)/\(name)", atomically: true, encoding: .utf8)
            }

            var names: [String] {
                ((try? FileManager.default.contentsOfDirectory(atPath: configurations)) ?? []).sorted()
            }
        }

        private let primary = #"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"ptp","mtu":1400}]}"#

        private func withAgent(
            _ more: [String: String] = [:], _ body: (Lab, AgentProcess, Places) async throws -> Void
        ) async throws {
            try await withLab(.oneNode(pods: [])) { lab in
                let places = try Places(lab)
                let agent = AgentProcess(
                    lab, manifests: try ManifestDirectory(lab, more), options: places.options)
                try agent.start()
                try await agent.ready()
                try await body(lab, agent, places)
            }
        }

        private func apusd(_ node: LabHost, _ arguments: [String]) async throws -> ProcessResult {
            try await node.run([try BuiltProducts.path(of: "apusd")] + arguments, covered: false)
        }

        @Test func theAgentFollowsWhatThePrimaryPluginWrites() async throws {
            try await withAgent { lab, agent, places in
                try await eventually("word of what is missing") {
                    try await agent.diagnostics().contains {
                        $0.object == "CNI configuration" && $0.message.contains("no podCIDRs")
                    }
                }
                #expect(places.names.isEmpty)
                try places.write("10-primary.conflist", primary)
                try await eventually("the chain") { places.text("00-apus.conflist")?.contains("apus-cni") ?? false }
                try places.write("10-primary.conflist", primary.replacing("1400", with: "1300"))
                try await eventually("the change") { places.text("00-apus.conflist")?.contains("1300") ?? false }
                try await eventually("silence") { try await agent.diagnostics().isEmpty }
                await agent.terminate()
                #expect(places.names.count == 2)
                let removed = try await apusd(agent.node, ["install-cni", "--remove"] + places.directories)
                #expect(removed.succeeded, "\(removed)")
                #expect(places.names == ["10-primary.conflist"])
                #expect(places.text("10-primary.conflist") == primary.replacing("1400", with: "1300"))
                #expect(!FileManager.default.fileExists(atPath: "\(places.programs)/apus-cni"))
            }
        }

        @Test func aNodeWithoutAnotherPluginGetsACompleteConfigurationThatConnectsPods() async throws {
            let node = """
                apiVersion: v1
                kind: Node
                metadata: {name: node-a}
                spec: {podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"]}

                """
            try await withAgent(["node.yaml": node]) { lab, agent, places in
                try await eventually("the configuration") { places.text("00-apus.conflist") != nil }
                let text = try #require(places.text("00-apus.conflist"))
                // host-local's own place is the machine's.
                let list = text.replacing("/run/cni-ipam-state", with: "\(lab.directory)/ipam")
                let runtime = try CNIRuntime(lab, list: list)
                let pods = try await lab.addUnconnectedPods(["one", "two"], to: "node-a")
                for pod in pods { try agent.manifests.write("\(pod.name).yaml", Manifest.boundPod(pod.name)) }
                let connections = [try await runtime.add(pods[0]), try await runtime.add(pods[1])]
                try await pods[1].serve(port: 80)
                for address in connections[1].addresses {
                    #expect(try await pods[0].ask(address, 80, within: .seconds(60)) == .answered("two"))
                }
                let others = lab.outside("outside").addresses
                try await lab.outside("outside").serve(port: 80)
                for address in others {
                    #expect(try await pods[0].ask(address, 80, within: .seconds(60)) == .answered("outside"))
                }
                for pod in pods { try await runtime.del(pod) }
                await agent.kill()
                // Of an agent with other pins and another socket, what is here is not.
                let elsewhere = try await apusd(
                    agent.node,
                    ["cleanup", "--bpffs", agent.bpffs + "-other", "--socket", agent.socket + ".other"]
                        + places.directories)
                #expect(elsewhere.succeeded && !elsewhere.output.contains(places.configurations), "\(elsewhere)")
                #expect(places.names == ["00-apus.conflist"])
                #expect(FileManager.default.fileExists(atPath: "\(places.programs)/apus-cni"))
                let cleaned = try await apusd(
                    agent.node,
                    ["cleanup", "--bpffs", agent.bpffs, "--socket", agent.socket] + places.directories)
                #expect(cleaned.succeeded && cleaned.output.contains("removed \(places.configurations)"), "\(cleaned)")
                #expect(places.names.isEmpty)
            }
        }

        @Test func byHandItIsDoneOnceAndTold() async throws {
            try await withLab(.oneNode(pods: [])) { lab in
                let (places, node) = (try Places(lab), lab.node("node-a"))
                let nothing = try await apusd(node, ["install-cni"] + places.directories)
                #expect(nothing.status == 64 && nothing.errors.contains("--pod-cidr"), "\(nothing)")
                let options = ["install-cni", "--pod-cidr", "10.244.1.0/24", "--socket", "/run/x.sock"]
                let made = try await apusd(node, options + places.directories)
                #expect(made.succeeded && made.output.contains("wrote \(places.configurations)/00-apus.conflist"))
                let text = try JSONText((places.text("00-apus.conflist") ?? "").utf8)
                #expect(text["plugins"]?.elements.last?["socket"]?.string == "/run/x.sock")
                #expect(text["plugins"]?.elements.first?["mtu"]?.integer == 1500)
                let again = try await apusd(node, options + places.directories)
                #expect(
                    again.output.hasSuffix("all is up to date\n") && again.output.contains("ptp and host-local, which"))
                let program = "\(places.programs)/apus-cni"
                let spoken = try await node.run([program], environment: ["CNI_COMMAND": "VERSION"], covered: false)
                #expect(spoken.output.contains("supportedVersions"), "\(spoken)")
            }
        }
    }
}
