import Addressing
import AgentAPI
import Datapath
import Foundation
import TestSupport
import Testing

extension PodNetworkTests {
    /// Pods that come and go under a running agent.
    @Suite(.serialized) struct Pods {
        @Test func aPodWhoseInterfaceComesLaterIsAttachedWhenItDoes() async throws {
            try await withEcho { echo in
                let late = PodPlan("late", addresses: [ip("10.244.1.50"), ip("fd00:10:244:1::50")])
                try echo.agent.manifests.write("late.yaml", Manifest.pod("late", addresses: late.addresses))
                try await eventually("the agent to miss its interface") {
                    try await echo.agent.diagnostics().contains { $0.object == "Pod default/late" }
                }
                #expect(try await echo.agent.client.status().programmed.endpoints == 4)
                let pod = try await echo.lab.addPod(late, to: "node-a")
                try await eventually("the pod to be attached") {
                    let programmed = try await echo.agent.client.status().programmed
                    return programmed.attached == 5 && programmed.endpoints == 5
                }
                #expect(try await echo.agent.diagnostics().isEmpty)
                // Programs see its packets: a Service is translated per packet.
                for vip in Echo.addresses {
                    #expect(try await pod.ask(vip, Echo.tcpPort, within: .seconds(60), covered: false).isAnswered)
                }
            }
        }

        @Test func aNewPodIsGuardedOnceItIsAttached() async throws {
            let policy = Manifest.policy("closed", "{podSelector: {matchLabels: {app: late}}, policyTypes: [Ingress]}")
            try await withEcho(more: ["policy.yaml": policy]) { echo in
                let late = PodPlan("late", addresses: [ip("10.244.1.50"), ip("fd00:10:244:1::50")])
                try echo.agent.manifests.write(
                    "late.yaml", Manifest.pod("late", labels: ["app": "late"], addresses: late.addresses))
                let pod = try await echo.lab.addPod(late, to: "node-a")
                try await echo.agent.ready()
                try await eventually("the pod to be attached") {
                    try await echo.agent.client.status().programmed.attached == 5
                }
                try await pod.serve(port: 80)
                for address in pod.addresses {
                    #expect(try await echo.client.ask(address, 80, within: .milliseconds(400)) == .timedOut)
                }
            }
        }

        @Test func anAddressUsedAgainBelongsToAnotherPod() async throws {
            try await withEcho { echo in
                let plan = PodPlan("first", addresses: [ip("10.244.1.50"), ip("fd00:10:244:1::50")])
                let old = try await addPod(plan, echo)
                try await old.serve(port: 80)
                let held = try await echo.client.hold(old.ipv4, 80)
                let before = try #require(try echo.agent.endpoints().first { $0.addresses.contains(old.ipv4) })

                // A blackhole in place of the pod: nothing tells the client that the other end is gone.
                try await echo.agent.node.output(["ip", "link", "set", try #require(old.hostInterface), "down"])
                try echo.agent.manifests.remove("first.yaml")
                try await echo.lab.removePod("first")
                let new = try await addPod(PodPlan("second", addresses: plan.addresses), echo)
                // The old slot keeps its content for a grace period, but nothing leads to it any more.
                let after = try #require(try echo.agent.endpoints().first { $0.name?.name == "second" })
                #expect(after.identity != before.identity && after.addresses == before.addresses, "\(before)\n\(after)")
                try await new.serve(port: 80)

                try await eventually("the end of the old connection") { held.result != nil }
                #expect(held.states.last == "exchanges", "\(held.lines)")
                #expect(try await echo.client.ask(new.ipv4, 80, within: .seconds(60)) == .answered("second"))
                let connection = try DatapathReader(bpffs: echo.agent.bpffs).connections()
                    .filter { $0.destination.endpoint?.identity == before.identity && $0.state == .established }
                #expect(connection.isEmpty, "\(connection)")
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test func aRemovedPodLeavesNothing() async throws {
            try await withEcho { echo in
                let endpoints = try echo.agent.endpoints()
                try echo.agent.manifests.write(
                    "pods.yaml", Manifest.file(Echo.pods.map { Manifest.pod(echo.lab.pod($0)) }))
                try await eventually("its end") { try echo.agent.endpoints().count == endpoints.count - 1 }
                try await eventually("word of it") {
                    try await echo.agent.client.status().programmed.attached == 3
                }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test func aPodWhoseObjectIsGoneIsCutOffAsLongAsItLives() async throws {
            try await withEcho { echo in
                let server = echo.lab.pod(Echo.pods[0])
                let others = Manifest.file(Echo.pods.map { Manifest.pod(echo.lab.pod($0)) })
                let index = try #require(
                    try echo.agent.endpoints().first { $0.addresses.contains(echo.client.ipv4) }?.interface)
                func expectSilence() async throws {
                    for address in server.addresses {
                        #expect(
                            try await echo.client.ask(address, 8080, within: .milliseconds(400), covered: false)
                                == .timedOut)
                    }
                }
                try echo.agent.manifests.write("pods.yaml", others)
                try await eventually("its end") { try echo.agent.endpoints().count == 3 }
                try await expectSilence()
                try await echo.agent.restart()
                try await expectSilence()
                #expect(try await echo.agent.apus("verify").succeeded)

                try echo.agent.manifests.write("next.yaml", Manifest.pod("next", addresses: echo.client.addresses))
                try await eventually("another pod behind the interface") {
                    try await echo.agent.client.status().programmed.attached == 4
                }
                #expect(try await echo.client.ask(server.ipv4, 8080, within: .seconds(60)).isAnswered)

                try echo.agent.manifests.remove("next.yaml")
                try await eventually("its end") { try echo.agent.endpoints().count == 3 }
                let links = "\(echo.agent.bpffs)/links/pod-\(index)-"
                #expect(FileManager.default.fileExists(atPath: links + "from"))
                try await echo.lab.removePod("client")
                try await eventually("the end of its links") {
                    !["from", "to"].contains { FileManager.default.fileExists(atPath: links + $0) }
                }
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test func programsGoOnlyOnAnInterfaceOfThePodsOwn() async throws {
            try await withEcho { echo in
                let node = echo.agent.node
                try await node.output(["ip", "link", "add", "shared0", "type", "bridge"])
                try await node.output(["ip", "address", "add", "10.9.0.1/24", "dev", "shared0"])
                try await node.output(["ip", "link", "set", "shared0", "up"])
                let holder = try #require(echo.client.hostInterface)
                try await node.output(["ip", "route", "add", "10.244.1.61/32", "dev", holder])
                let pods = ["bridged": ip("10.9.0.2"), "second": ip("10.244.1.61")]
                for (name, address) in pods {
                    try echo.agent.manifests.write("\(name).yaml", Manifest.pod(name, addresses: [address]))
                }
                for (name, words) in ["bridged": "shared0, a bridge", "second": "is already"] {
                    try await eventually("what is wrong with \(name)") {
                        try await echo.agent.diagnostics().contains {
                            $0.object == "Pod default/\(name)" && $0.message.contains(words)
                        }
                    }
                }
                let programmed = try await echo.agent.client.status().programmed
                #expect(programmed.attached == 4 && programmed.endpoints == 4)
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test func aPodKeepsItsProgramsWhileItsRouteIsGone() async throws {
            try await withEcho { echo in
                let before = try echo.agent.endpoints()
                let host = try #require(echo.client.hostInterface)
                let address = "\(echo.client.ipv4)/32"
                for family in ["-4", "-6"] {
                    try await echo.agent.node.output(["ip", family, "route", "flush", "dev", host])
                }
                try await eventually("the agent to miss the route") {
                    try await echo.agent.diagnostics().contains { $0.object.hasPrefix("Pod ") }
                }
                let programmed = try await echo.agent.client.status().programmed
                #expect(programmed.attached == 4 && programmed.endpoints == 4)
                #expect(try echo.agent.endpoints().map(\.identity) == before.map(\.identity))
                try await echo.agent.node.output(["ip", "route", "add", address, "dev", host])
                try await eventually("silence") { try await echo.agent.diagnostics().isEmpty }
                #expect(try echo.agent.endpoints().map(\.identity) == before.map(\.identity))
            }
        }

        private func addPod(_ plan: PodPlan, _ echo: Echo) async throws -> LabHost {
            let host = try await echo.lab.addPod(plan, to: "node-a")
            try echo.agent.manifests.write("\(plan.name).yaml", Manifest.pod(host))
            try await eventually("pod \(plan.name) to be attached") {
                let known = try echo.agent.endpoints().contains { $0.name?.name == plan.name }
                let programmed = try await echo.agent.client.status().programmed
                return known && programmed.attached == 5
            }
            return host
        }
    }
}
