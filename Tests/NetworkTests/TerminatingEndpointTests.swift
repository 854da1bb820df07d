import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Where no endpoint is ready, those serve that terminate: of all nodes, or of this one where traffic stays there.
    @Suite(.serialized) struct TerminatingEndpoints {
        private static let local =
            "externalTrafficPolicy: Local\n  healthCheckNodePort: 32100\n  internalTrafficPolicy: Local"

        @Test(.shows(.terminatingNear, .terminatingFromOutside, .healthCheckTerminating, .policyChanges))
        func withoutReadyOnesTheyServe() async throws {
            try await withOutside(more: Self.local) { world in
                for node in [world.agent.node.ipv4.description, "[\(world.agent.node.ipv6)]"] {
                    try await world.expectCheck(at: node, status: 200, endpoints: 2)
                }
                // A ready one elsewhere counts for nobody here.
                for far in ["ready: true", "ready: false, serving: true, terminating: true"] {
                    try Self.write(world, Self.local, far: far)
                    try await Self.expect(world, outside: ["web-1"], inside: ["web-1"], .terminatingNear)
                }
                for node in [world.agent.node.ipv4.description, "[\(world.agent.node.ipv6)]"] {
                    try await world.expectCheck(at: node, status: 503, endpoints: 0)
                    ServiceRow.healthCheckTerminating.seen(.tcp, isIPv4: !node.hasPrefix("["))
                }
                let terminating = "ready: false, serving: true, terminating: true"
                try Self.write(world, "externalTrafficPolicy: Cluster", far: terminating)
                try await Self.expect(
                    world, outside: ["web-1", "web-3"], inside: ["web-1", "web-3"], .terminatingFromOutside)
                // The check goes with the policy, and comes back with it.
                try await eventually("nobody to ask for the health of") {
                    try await world.outside.ask(world.agent.node.ipv4, 32100, within: .seconds(5)) == .refused
                }
                try Self.write(world, Self.local, far: terminating)
                try await world.expectCheck(at: "\(world.agent.node.ipv4)", status: 503, endpoints: 0)
                for question in world.questions {
                    let (address, port) = world.destination(question)
                    try await world.outside.expect(["web-1"], at: address, port, over: question.ipProtocol)
                    ServiceRow.policyChanges.seen(question)
                }
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        /// The first pod terminates, the second one is gone, and the third one is on another node.
        private static func write(_ world: OutsideWorld, _ policies: String, far: String) throws {
            let says = [
                "web-1": ("node-a", "ready: false, serving: true, terminating: true"),
                "web-2": ("node-a", "ready: false, serving: false, terminating: true"), "web-3": ("node-b", far),
            ]
            let text = OutsideWorld.service(world.lab, OutsideWorld.pods, more: policies)
            try world.agent.manifests.write(
                "echo.yaml",
                says.reduce(text) { text, pod in
                    world.lab.pod(pod.key).addresses.reduce(text) { text, address in
                        let (start, end) = (
                            "{addresses: [\"\(address)\"], conditions: {", "}, nodeName: \(pod.value.0)}"
                        )
                        return text.replacing("\(start)ready: true\(end)", with: start + pod.value.1 + end)
                    }
                })
        }

        /// Waits until these serve a host outside by all frontends, and a pod of the node by the ClusterIP.
        private static func expect(
            _ world: OutsideWorld, outside: Set<String>, inside: Set<String>, _ row: ServiceRow
        ) async throws {
            for question in world.questions {
                let (address, port) = world.destination(question)
                try await world.outside.expect(outside, at: address, port, over: question.ipProtocol)
                row.seen(question)
            }
            for path in EchoPath.all where !path.unconnected {
                try await world.lab.pod("web-2").expect(
                    inside, at: Echo.addresses[path.family], path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort,
                    over: path.ipProtocol, covered: path.covered)
            }
        }
    }
}
