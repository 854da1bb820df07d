import Addressing
import TestSupport
import Testing

extension PodNetworkTests {
    /// What only crosses a node, between a client outside and a backend elsewhere.
    @Suite(.serialized) struct Crossings {
        @Test func pastTheStackItsFirewallSeesNoneOfThem() async throws {
            try await withOutside(backends: ["web-3"]) { world in
                try await world.dropForwarded()
                for question in world.nodePortQuestions { try await world.expect(question, ["web-3"]) }
            }
        }

        @Test func throughTheStackItsFirewallDecides() async throws {
            try await withOutside(backends: ["web-3"], options: ["--redirect-uplink", "off"]) { world in
                for question in world.nodePortQuestions { try await world.expect(question, ["web-3"]) }
                try await world.dropForwarded()
                for question in world.nodePortQuestions {
                    let outcome = try await world.ask(question, within: .seconds(1))
                    #expect(outcome != .answered("web-3"), "\(question): \(outcome)")
                }
            }
        }

        /// The host that is asked next is the kernel's to find, and to find again.
        @Test func aNeighbourThatHasMovedIsFoundAgain() async throws {
            try await withOutside(backends: ["web-3"]) { world in
                let node = world.agent.node
                for setting in ["base_reachable_time_ms=500", "delay_first_probe_time=1"] {
                    try await node.output(["sysctl", "-qw", "net.ipv4.neigh.\(node.interface).\(setting)"])
                }
                let question = OutsideQuestion(frontend: .nodePort, isIPv4: true, ipProtocol: .tcp)
                try await world.expect(question, ["web-3"])
                // The backend's node, which says nothing by itself, so that nobody else tells of its new address.
                let host = world.lab.node("node-b")
                try await host.output(["ip", "link", "set", host.interface, "address", "02:00:00:00:77:01"])
                try await eventually("an answer past the neighbour that has moved", within: .seconds(60)) {
                    try await world.ask(question, within: .seconds(1)) == .answered("web-3")
                }
            }
        }
    }
}

extension OutsideWorld {
    /// By one frontend each: with one endpoint alone the client's ports may be taken by connections through others.
    fileprivate var nodePortQuestions: [OutsideQuestion] { questions.filter { $0.frontend == .nodePort } }

    /// Lets the firewall of the node that is asked forward nothing.
    fileprivate func dropForwarded() async throws {
        for tool in ["iptables", "ip6tables"] { try await agent.node.output([tool, "-P", "FORWARD", "DROP"]) }
    }
}
