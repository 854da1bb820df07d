import Addressing
import Foundation
import TestSupport
import Testing

extension PodNetworkTests {
    /// Many pods, and the same many times.
    @Suite(.serialized) struct CNIRounds {
        /// How often a pod comes up that must not send or get a packet.
        private static let rounds =
            ProcessInfo.processInfo.environment["APUS_CNI_ROUNDS"].flatMap(Int.init) ?? 10

        /// How many packets a chain of iptables and ip6tables has seen that a rule without a target counts.
        private func counted(_ host: LabHost) async throws -> Int {
            var sum = 0
            for tool in ["iptables", "ip6tables"] {
                let lines = try await host.output([tool, "-L", "INPUT", "-v", "-x", "-n"]).split(separator: "\n")
                sum += lines.dropFirst(2).compactMap { Int($0.split(separator: " ")[0]) }.reduce(0, +)
            }
            return sum
        }

        private func count(_ host: LabHost, from sources: [IPAddress]) async throws {
            for source in sources {
                try await host.output([source.isIPv4 ? "iptables" : "ip6tables", "-A", "INPUT", "-s", "\(source)"])
            }
        }

        @Test func noPacketOfAPodThatDefaultDenySelectsGetsThrough() async throws {
            let addresses = [ip("10.244.1.50"), ip("fd00:10:244:1::50")]
            try await withCNINode(addresses: addresses) { node in
                let other = try await node.lab.addPod(
                    PodPlan("other", addresses: [ip("10.244.1.200"), ip("fd00:10:244:1::200")]), to: "node-a")
                try node.agent.manifests.write("other.yaml", Manifest.pod(other))
                try await other.serve(port: 80)
                try await count(other, from: addresses)
                for round in 0..<Self.rounds {
                    try await self.round(round, node, other, addresses)
                    #expect(try await counted(other) == 0, "round \(round)")
                }
                #expect(try await node.agent.apus("verify").succeeded)
            }
        }

        /// One life of a guarded pod: each other time its object comes after its interface.
        private func round(
            _ round: Int, _ node: CNINode, _ other: LabHost, _ addresses: [IPAddress]
        ) async throws {
            let (name, labels) = ("pod-\(round)", ["guarded": "\"yes\""])
            let isLate = round % 2 == 1
            let pod = try await node.newPod(name, labels: labels, hasObject: !isLate)
            try await count(pod, from: other.addresses)
            async let added = node.runtime.add(pod)
            if isLate {
                try await eventually("the interface to be closed", every: .milliseconds(2)) { node.links.count == 4 }
                try node.agent.manifests.write("\(name).yaml", Manifest.boundPod(name, labels: labels))
            }
            #expect(Set(try await added.addresses) == Set(addresses))
            // From the very first moment on, in both directions.
            try await withThrowingTaskGroup(of: AskOutcome.self) { group in
                for (address, target) in zip(addresses, other.addresses) {
                    group.addTask { try await pod.ask(target, 80, within: .milliseconds(150)) }
                    group.addTask { try await other.ask(address, 80, within: .milliseconds(150)) }
                }
                for try await outcome in group { #expect(outcome == .timedOut, "round \(round)") }
            }
            #expect(try await counted(pod) == 0, "round \(round)")
            try await node.removePod(pod)
        }

        @Test func aHundredPodsComeAndGoAndLeaveNothing() async throws {
            try await withCNINode(options: ["--map-size-endpoints", "256"]) { node in
                let names = (1...100).map { "pod-\($0)" }
                let pods = try await node.lab.addUnconnectedPods(names, to: "node-a")
                let before = try await node.agent.node.output(["ip", "-o", "link"]).split(separator: "\n").count
                for _ in 0..<2 {
                    try node.agent.manifests.write(
                        "pods.yaml", Manifest.file(names.map { Manifest.boundPod($0) }))
                    try await all(pods) { try await node.runtime.add($0) }
                    #expect(try node.agent.endpoints().count == 100)
                    #expect(node.attachments.count == 100 && node.links.count == 200 && node.given.count == 200)
                    #expect(try await node.agent.apus("verify").succeeded)
                    try await all(pods) { try await node.runtime.check($0) }
                    try await all(pods) { try await node.runtime.del($0) }
                    try node.agent.manifests.remove("pods.yaml")
                    try await eventually("the end of all links") { node.links.isEmpty }
                    #expect(try node.agent.endpoints().isEmpty)
                    #expect(node.attachments.isEmpty && node.given.isEmpty)
                    #expect(try await node.agent.apus("verify").succeeded)
                }
                let after = try await node.agent.node.output(["ip", "-o", "link"]).split(separator: "\n").count
                #expect(after == before)
            }
        }

        /// Does something with all pods, with some at a time as a kubelet would.
        private func all(_ pods: [LabHost], _ work: @escaping @Sendable (LabHost) async throws -> Void) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, pod) in pods.enumerated() {
                    if index >= 8 { try await group.next() }
                    group.addTask { try await work(pod) }
                }
                try await group.waitForAll()
            }
        }
    }
}
