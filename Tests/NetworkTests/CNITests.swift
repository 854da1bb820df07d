import Addressing
import AgentAPI
import Datapath
import Foundation
import TestSupport
import Testing

/// A node whose pods are connected by CNI plugins alone, with apus-cni behind them.
struct CNINode {
    let lab: Lab
    let agent: AgentProcess
    let runtime: CNIRuntime

    /// Everything that is kept of attached pods.
    var attachments: [String] { Self.names("\(lab.directory)/apus.attachments") }
    /// The pinned links of pods' programs.
    var links: [String] { Self.names("\(agent.bpffs)/links").filter { $0.hasPrefix("pod-") } }
    /// The addresses that host-local has given.
    var given: [String] {
        Self.names("\(lab.directory)/ipam/pods").filter { !$0.hasPrefix("last_reserved") && $0 != "lock" }
    }

    private static func names(_ directory: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
    }

    /// Adds a pod that a plugin has yet to connect, and its object.
    func newPod(_ name: String, labels: [String: String] = [:], hasObject: Bool = true) async throws -> LabHost {
        let pod = try await lab.addUnconnectedPods([name], to: "node-a")[0]
        if hasObject { try agent.manifests.write("\(name).yaml", Manifest.boundPod(name, labels: labels)) }
        return pod
    }

    func removePod(_ pod: LabHost) async throws {
        try await runtime.del(pod)
        try? agent.manifests.remove("\(pod.name).yaml")
        try await lab.removePod(pod.name)
    }
}

/// Lends a node with an agent that follows manifests; `default-deny` selects pods with `guarded: yes`.
func withCNINode(
    _ primary: CNIRuntime.Primary = .ptp, addresses: [IPAddress]? = nil, timeout: Int = 60, options: [String] = [],
    isolation: isolated (any Actor)? = #isolation, _ body: (CNINode) async throws -> Void
) async throws {
    try await withLab(.oneNode(pods: [])) { lab in
        let deny = Manifest.policy(
            "default-deny", "{podSelector: {matchLabels: {guarded: \"yes\"}}, policyTypes: [Ingress, Egress]}")
        let manifests = try ManifestDirectory(lab, ["policy.yaml": deny])
        let agent = try await AgentProcess.started(lab, manifests: manifests, options: options)
        let list = CNIRuntime.list(primary, agent, in: lab, addresses: addresses, timeout: timeout)
        try await body(CNINode(lab: lab, agent: agent, runtime: try CNIRuntime(lab, list: list)))
    }
}

extension PodNetworkTests {
    /// Pods are connected by real plugins, and covered when ADD returns.
    @Suite(.serialized) struct CNI {
        /// What `default-deny` selects.
        private let guarded = ["guarded": "\"yes\""]

        @Test(arguments: CNIRuntime.Primary.allCases)
        func whenAddReturnsThePodIsConnectedAndItsPolicyInForce(primary: CNIRuntime.Primary) async throws {
            try await withCNINode(primary) { node in
                let open = try await node.newPod("open")
                let guarded = try await node.newPod("guarded", labels: guarded)
                let connections = [try await node.runtime.add(open), try await node.runtime.add(guarded)]
                #expect(connections.allSatisfy { $0.addresses.count == 2 }, "\(connections)")
                #expect(try node.agent.endpoints().compactMap(\.name?.name).sorted() == ["guarded", "open"])
                for pod in [open, guarded] { try await pod.serve(port: 80) }
                for address in connections[0].addresses {
                    #expect(try await guarded.ask(address, 80, within: .milliseconds(300)) == .timedOut)
                    #expect(try await node.agent.node.ask(address, 80, within: .seconds(60)) == .answered("open"))
                }
                for address in connections[1].addresses {
                    #expect(try await open.ask(address, 80, within: .milliseconds(300)) == .timedOut)
                    // The node of a pod may always enter it.
                    #expect(try await node.agent.node.ask(address, 80, within: .seconds(60)) == .answered("guarded"))
                }
                for pod in [open, guarded] {
                    try await node.runtime.check(pod)
                    try await node.removePod(pod)
                }
                try await eventually("the end of all of it") { node.links.isEmpty }
                #expect(node.attachments.isEmpty && node.given.isEmpty)
                #expect(try node.agent.endpoints().isEmpty)
                #expect(try await node.agent.apus("verify").succeeded)
                #expect(try await node.agent.diagnostics().isEmpty)
            }
        }

        @Test func aHostOnTheBridgeFindsAPodThatIsIsolated() async throws {
            try await withCNINode(.bridge) { node in
                let pod = try await node.newPod("guarded", labels: guarded)
                let address = try #require(try await node.runtime.add(pod).addresses.first { !$0.isIPv4 })
                let host = try await node.newPod("neighbour", hasObject: false)
                let (near, own) = ("neighbour0", "fd00:10:244:1::ffff/64")
                try await node.agent.node.output(
                    ["ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", host.namespace])
                try await node.agent.node.output(["ip", "link", "set", near, "up", "master", "pods0"])
                try await host.output(["ip", "address", "add", own, "dev", "eth0", "nodad"])
                try await host.output(["ip", "link", "set", "eth0", "up"])
                #expect(try await host.ask(address, 80, within: .milliseconds(300)) == .timedOut)
                let neighbour = ["ip", "neighbour", "show", "to", "\(address)", "dev", "eth0"]
                try await eventually("the pod's answer") { try await host.output(neighbour).contains("lladdr") }
                // What is asked is dropped, and not where it is.
                #expect(try node.agent.drops(.policyIsolated) > 0)
                let output = try await node.agent.node.output(["ip", "-o", "link", "show", "master", "pods0"])
                let ports = output.split(separator: "\n").compactMap {
                    $0.split(whereSeparator: " @:".contains).dropFirst().first
                }
                let port = try #require(ports.map(String.init).first { $0 != near })
                for (isPort, change) in [(false, ["nomaster"]), (true, ["master", "pods0"])] {
                    try await node.agent.node.output(["ip", "link", "set", port] + change)
                    try await eventually("the endpoint to \(isPort ? "be on" : "leave") the bridge") {
                        try node.agent.endpoints().allSatisfy { ($0.bridge != nil) == isPort }
                    }
                }
            }
        }

        @Test func aPeerIsKnownByTheAddressesThatThePluginsGaveIt() async throws {
            try await withCNINode { node in
                let admit = """
                    {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}
                    """
                try node.agent.manifests.write("admit.yaml", Manifest.policy("web-to-db", admit))
                let db = try await node.newPod("db", labels: ["app": "db"])
                let addresses = try await node.runtime.add(db).addresses
                try await db.serve(port: 80)
                // Nobody's status says an address.
                for (name, isAdmitted) in [("web", true), ("other", false)] {
                    let pod = try await node.newPod(name, labels: ["app": name])
                    try await node.runtime.add(pod)
                    for address in addresses {
                        let outcome = try await pod.ask(
                            address, 80, within: isAdmitted ? .seconds(60) : .milliseconds(300))
                        #expect(outcome == (isAdmitted ? .answered("db") : .timedOut), "\(name)")
                    }
                }
            }
        }

        @Test func aVethThatIsMovedIntoThePodIsFoundByTheRouteToIt() async throws {
            try await withCNINode { node in
                let pod = try await node.newPod("moved")
                let host = node.agent.node
                try await host.output(["ip", "link", "add", "outer0", "type", "veth", "peer", "name", "inner0"])
                try await host.output(["ip", "link", "set", "outer0", "up"])
                try await host.output(["ip", "route", "add", "10.244.1.77/32", "dev", "outer0"])
                let list = """
                    {"cniVersion":"1.0.0","name":"pods","plugins":[
                     {"type":"host-device","device":"inner0",
                      "ipam":{"type":"static","addresses":[{"address":"10.244.1.77/32"}]}},
                     {"type":"apus-cni","socket":"\(node.agent.socket)"}]}
                    """
                let runtime = try CNIRuntime(node.lab, list: list)
                try await runtime.add(pod)
                let endpoint = try #require(try node.agent.endpoints().first)
                #expect(endpoint.addresses == [ip("10.244.1.77")] && endpoint.name?.name == "moved")
                try await runtime.del(pod)
                #expect(try node.agent.endpoints().isEmpty)
            }
        }

        @Test func addWaitsForThePodsObject() async throws {
            try await withCNINode { node in
                let pod = try await node.newPod("late", hasObject: false)
                async let connection = node.runtime.add(pod)
                try await eventually("the interface to be closed") {
                    try await node.agent.diagnostics().contains {
                        $0.object == "Pod default/late" && $0.message.hasPrefix("it is closed: ")
                    }
                }
                #expect(node.links.count == 2)
                #expect(try await node.agent.metric("apus_cni_attachments_closed") == 1)
                try node.agent.manifests.write("late.yaml", Manifest.boundPod("late"))
                #expect(try await connection.addresses.count == 2)
                #expect(try node.agent.endpoints().count == 1)
                #expect(try await node.agent.metric("apus_cni_attachments_closed") == 0)
                #expect(try await node.agent.metric("apus_cni_attachments") == 1)
            }
        }

        @Test func aPodThatNobodyKnowsIsClosedAndAddSaysSo() async throws {
            try await withCNINode(timeout: 1) { node in
                let pod = try await node.newPod("stranger", hasObject: false)
                // Another pod of that name is not the one that is meant.
                try node.agent.manifests.write("other.yaml", Manifest.boundPod("stranger", uid: "uid-old"))
                let failure = await #expect(throws: CNIRuntime.Failure.self) { try await node.runtime.add(pod) }
                #expect(failure?.plugin == "apus-cni" && failure?.code == 11)
                #expect(failure?.message.contains("there is no object of it with UID uid-stranger") == true)
                let before = try node.agent.drops(.unknownEndpoint)
                #expect(try await pod.ask(node.agent.node.ipv4, 9, within: .milliseconds(300)) == .timedOut)
                #expect(try node.agent.drops(.unknownEndpoint) > before)
                // The kubelet tries again, with a sandbox of its own.
                try await node.runtime.del(pod)
                try node.agent.manifests.write("other.yaml", Manifest.boundPod("stranger"))
                try await eventually("the next try to succeed") {
                    try await node.runtime.add(pod)
                    return true
                }
                #expect(try await pod.ask(node.agent.node.ipv4, 9, within: .seconds(60)) == .refused)
            }
        }

        @Test func withoutAnAgentPodsDontComeUpButGo() async throws {
            try await withCNINode { node in
                let (first, second) = (try await node.newPod("first"), try await node.newPod("second"))
                try await node.runtime.add(first)
                #expect(try await node.runtime.ask("STATUS").isEmpty)
                await node.agent.kill()
                let failure = await #expect(throws: CNIRuntime.Failure.self) { try await node.runtime.add(second) }
                #expect(failure?.code == 11 && failure?.message.hasPrefix("apusd is not there: ") == true)
                let status = await #expect(throws: CNIRuntime.Failure.self) { try await node.runtime.ask("STATUS") }
                #expect(status?.code == 50)
                try await node.runtime.del(second)
                try await node.runtime.ask("GC", ",\"cni.dev/valid-attachments\":[]")
                try await node.runtime.del(first)
                #expect(node.given.isEmpty && node.attachments.count == 1)
                // What it was not told it sees.
                try node.agent.start()
                try await node.agent.ready()
                #expect(node.attachments.isEmpty && node.links.isEmpty)
                #expect(try node.agent.endpoints().isEmpty)
                #expect(try await node.agent.apus("verify").succeeded)
                try await node.runtime.add(second)
            }
        }

        @Test func whatWasAttachedOutlivesTheAgent() async throws {
            try await withCNINode { node in
                let pod = try await node.newPod("pod", labels: guarded)
                let address = try await node.runtime.add(pod).addresses[0]
                let before = try node.agent.endpoints()
                try await node.agent.restart()
                #expect(try node.agent.endpoints().map(\.identity) == before.map(\.identity))
                try await node.runtime.check(pod)
                #expect(try await pod.ask(node.agent.node.ipv4, 9, within: .milliseconds(300)) == .timedOut)
                // A status that comes late changes nothing.
                try node.agent.manifests.write(
                    "pod.yaml", Manifest.pod("pod", labels: guarded, addresses: [address]))
                try await node.agent.ready()
                #expect(try node.agent.endpoints().map(\.identity) == before.map(\.identity))
                // The object outlives the pod's interface, and somebody else has the address meanwhile.
                try await node.runtime.del(pod)
                #expect(try node.agent.endpoints().isEmpty)
                #expect(try await node.agent.apus("verify").succeeded)
            }
        }

        @Test func garbageIsWhatTheRuntimeDoesNotNameAndCheckFindsWhatIsGone() async throws {
            try await withCNINode { node in
                let (kept, lost) = (try await node.newPod("kept"), try await node.newPod("lost"))
                for pod in [kept, lost] { try await node.runtime.add(pod) }
                let valid = ",\"cni.dev/valid-attachments\":[{\"containerID\":\"c-kept\",\"ifname\":\"eth0\"}]"
                try await node.runtime.ask("GC", valid)
                #expect(try node.agent.endpoints().map(\.name?.name) == ["kept"])
                try await node.runtime.check(kept)
                let failure = await #expect(throws: CNIRuntime.Failure.self) { try await node.runtime.check(lost) }
                #expect(failure?.plugin == "apus-cni" && failure?.code == 101)
                // What is left of it is closed, and goes as ever.
                #expect(try await lost.ask(node.agent.node.ipv4, 9, within: .milliseconds(300)) == .timedOut)
                try await node.runtime.del(lost)
                let version = try await node.runtime.ask("VERSION")
                #expect(version.contains("\"1.0.0\"") && version.contains("\"1.1.0\""))
            }
        }

        @Test func oneInterfaceOfAPodIsCovered() async throws {
            try await withCNINode { node in
                let pod = try await node.newPod("pod")
                try await node.runtime.add(pod)
                let second = """
                    {"cniVersion":"1.0.0","name":"second","plugins":[
                     {"type":"bridge","bridge":"second0",
                      "ipam":{"type":"static","addresses":[{"address":"10.9.0.5/24"}]}},
                     {"type":"apus-cni","socket":"\(node.agent.socket)"}]}
                    """
                let failure = await #expect(throws: CNIRuntime.Failure.self) {
                    try await CNIRuntime(node.lab, list: second).add(pod, interface: "net1")
                }
                #expect(
                    failure?.code == 100 && failure?.message.contains("attached by eth0") == true,
                    "\(String(describing: failure))")
                try await node.runtime.check(pod)
            }
        }
    }
}
