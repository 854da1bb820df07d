import Addressing
import Foundation
import TestSupport
import Testing

extension PodNetworkTests {
    /// A real container runtime connects pods through the plugin.
    @Suite(.serialized) struct Podmen {
        /// Opens a TCP connection; ends with 0, or with 124 when nobody answers in time (timeout(1)).
        private func open(_ address: IPAddress, within seconds: String) -> [String] {
            ["/usr/bin/timeout", seconds, "/usr/bin/bash", "-c", "exec 3<>/dev/tcp/\(address)/80"]
        }

        @Test func containersComeUpWithTheirPoliciesInForceAndLeaveNothing() async throws {
            try await withCNINode(timeout: 20) { node in
                let other = try await node.lab.addPod(
                    PodPlan("other", addresses: [ip("10.244.1.200"), ip("fd00:10:244:1::200")]), to: "node-a")
                try node.agent.manifests.write("other.yaml", Manifest.pod(other))
                try await other.serve(port: 80)
                let podman = try Podman(
                    node.lab, network: "pods", list: CNIRuntime.list(.ptp, node.agent, in: node.lab, timeout: 20))
                for (name, labels, outcome) in [
                    ("open", [:], 0), ("guarded", ["guarded": "\"yes\""], 124), ("again", [:], 0 as Int32),
                ] {
                    try node.agent.manifests.write("\(name).yaml", Manifest.boundPod(name, labels: labels))
                    for target in other.addresses {
                        let result = try await podman.run(name, open(target, within: outcome == 0 ? "60" : "0.5"))
                        #expect(result.status == outcome, "\(name): \(result)\n\(node.agent.logged)")
                    }
                    #expect(node.attachments.isEmpty && node.given.isEmpty)
                    try await eventually("the end of its links") { node.links.count == 2 }
                }
                #expect(try node.agent.endpoints().count == 1)
                #expect(try await node.agent.apus("verify").succeeded)
            }
        }

        @Test func aContainerThatIsNoPodDoesNotComeUp() async throws {
            try await withCNINode { node in
                let podman = try Podman(
                    node.lab, network: "pods", list: CNIRuntime.list(.ptp, node.agent, in: node.lab, timeout: 1))
                let result = try await podman.run("stranger", open(ip("10.244.1.1"), within: "1"))
                #expect(!result.succeeded && result.errors.contains("there is no object of it"), "\(result)")
                #expect(node.attachments.isEmpty && node.given.isEmpty)
                try await eventually("the end of its links") { node.links.isEmpty }
            }
        }
    }
}
