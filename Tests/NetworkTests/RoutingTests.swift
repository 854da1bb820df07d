import Addressing
import AgentAPI
import Foundation
import TestSupport
import Testing

extension PodNetworkTests {
    /// Three nodes with an agent each: pods of different nodes reach each other, whatever is between the nodes.
    @Suite(.serialized) struct Routing {
        @Test func nativeLeavesRoutesToOthers() async throws {
            try await ThreeNodes.with("native") { cluster in
                try await cluster.expectCluster()
                try await cluster.expectLargePackets(1500)
                #expect(try await cluster.routes("node-a") == "")
                let status = try await cluster.agent("node-a").client.status()
                #expect(status.routing == AgentStatus.Routing(mode: "native", nodes: 0, routed: 0, entries: 0))
                try await cluster.expectVerified()
            }
        }

        @Test func directRoutesLeadFromNodeToNode() async throws {
            try await ThreeNodes.with("direct") { cluster in
                try await cluster.expectCluster()
                try await cluster.expectLargePackets(1500)
                let status = try await cluster.agent("node-a").client.status()
                #expect(status.routing == AgentStatus.Routing(mode: "direct", nodes: 2, routed: 2, entries: 4))
                try await expectRepair(cluster, "10.244.2.0/24", "-4")
                try await expectRepair(cluster, "fd00:10:244:3::/64", "-6")
                try await expectJoinAndLeave(cluster)
                try await expectOffLinkNode(cluster)
                try await expectCleanUp(cluster)
            }
        }

        @Test func anOverlayCarriesPacketsBetweenNodes() async throws {
            try await ThreeNodes.with("vxlan") { cluster in
                // Pods may send packets that the overlay does not take: they learn so.
                try await cluster.expectCluster()
                try await cluster.expectLargePackets(1450)
                try await cluster.setPodMTU(1450)
                try await cluster.expectLargePackets(1450)
                let status = try await cluster.agent("node-a").client.status()
                let expected = AgentStatus.Routing(
                    mode: "vxlan", nodes: 2, routed: 2, entries: 10, device: "apus-vxlan", mtu: 1450)
                #expect(status.routing == expected)
                let text = try await cluster.agent("node-a").apus("status").output
                #expect(text.contains("vxlan by apus-vxlan (MTU 1450), 2 of 2 other nodes"), "\(text)")
                try await expectRepair(cluster, "10.244.2.0/24", "-4")
                try await expectRepairedOverlay(cluster)
                try await expectJoinAndLeave(cluster)
                try await expectAdoption(cluster)
                try await expectCleanUp(cluster)
            }
        }

        /// A route that somebody removed is made again, as soon as the kernel tells of it.
        private func expectRepair(_ cluster: ThreeNodes, _ destination: String, _ family: String) async throws {
            _ = try await cluster.showIP("node-a", family, "route", "del", destination, "proto", "97")
            try await eventually("the route to \(destination) to be there again") {
                try await cluster.routes("node-a").contains(destination)
            }
            try await cluster.expectVerified()
        }

        /// So are the neighbours and the device itself.
        private func expectRepairedOverlay(_ cluster: ThreeNodes) async throws {
            let before = try await cluster.showIP("node-a", "neigh", "show", "dev", "apus-vxlan", "nud", "permanent")
            #expect(before.contains("10.244.2.0 lladdr 02:61:ac:1f:00:0c"), "\(before)")
            _ = try await cluster.showIP("node-a", "neigh", "del", "10.244.2.0", "dev", "apus-vxlan")
            _ = try await cluster.lab.node("node-a").output(
                ["bridge", "fdb", "del", "02:61:ac:1f:00:0d", "dev", "apus-vxlan"])
            try await cluster.expectVerified()
            try await cluster.expect(cluster.client, reaches: "web-b")
            try await cluster.expect(cluster.client, reaches: "web-c")
            _ = try await cluster.showIP("node-a", "link", "del", "apus-vxlan")
            try await eventually("the device to be there again") {
                try await cluster.showIP("node-a", "-o", "link").contains("apus-vxlan")
            }
            try await cluster.expectCluster()
            try await cluster.expectVerified()
        }

        private func expectJoinAndLeave(_ cluster: ThreeNodes) async throws {
            let node = cluster.node("node-d")
            try cluster.manifests.write("node-d.yaml", ThreeNodes.manifest(of: node, in: cluster.lab))
            let agent = AgentProcess(
                cluster.lab, node: "node-d", manifests: cluster.manifests, apiServer: cluster.server,
                options: ["--routing", cluster.mode, "--hubble-socket", ""])
            try agent.start()
            try await agent.ready()
            for pod in ThreeNodes.webPods {
                try await cluster.expect(cluster.lab.pod("late"), reaches: pod)
            }
            for member in ThreeNodes.members {
                #expect(try await cluster.routes(member).contains("10.244.4.0/24"), "\(member)")
            }
            await agent.terminate()
            try await agent.cleanUp()
            try cluster.manifests.remove("node-d.yaml")
            for member in ThreeNodes.members {
                try await eventually("\(member) to have no routes to the node that left") {
                    let routes = try await cluster.routes(member)
                    return !routes.contains("10.244.4.0/24") && !routes.contains("fd00:10:244:4::")
                }
            }
            try await cluster.expectVerified()
            for pod in ThreeNodes.webPods { try await cluster.expect(cluster.client, reaches: pod) }
        }

        /// A node behind a router is named, and the others stay.
        private func expectOffLinkNode(_ cluster: ThreeNodes) async throws {
            var far = cluster.node("node-d")
            far.addresses = [ip("198.51.100.9")]
            try cluster.manifests.write("node-d.yaml", Manifest.node(far))
            try await eventually("word of the node behind a router") {
                try await cluster.agent("node-a").diagnostics().contains {
                    $0.object == "Node node-d"
                        && $0.message.hasPrefix("status.addresses: 198.51.100.9 is on no link of this node")
                }
            }
            #expect(try await !cluster.routes("node-a").contains("10.244.4.0/24"))
            try cluster.manifests.remove("node-d.yaml")
            try await cluster.expect(cluster.client, reaches: "web-c")
        }

        /// Packets need no agent, and an agent that comes back keeps the device.
        private func expectAdoption(_ cluster: ThreeNodes) async throws {
            let agent = cluster.agent("node-a")
            let before = try await cluster.showIP("node-a", "-o", "link", "show", "apus-vxlan")
            await agent.kill()
            try await cluster.expect(cluster.client, reaches: "web-b")
            let places = "\(cluster.lab.directory)/net.d"
            agent.use(
                options: [
                    "--routing", "vxlan", "--hubble-socket", "", "--cni", "on", "--cni-conf-dir", places,
                    "--cni-bin-dir", "\(cluster.lab.directory)/cni-bin",
                ])
            try agent.start()
            try await agent.ready()
            try await cluster.expectVerified()
            try await eventually("a CNI configuration with the overlay's MTU") {
                let path = "\(places)/00-apus.conflist"
                return try String(contentsOfFile: path, encoding: .utf8).contains("\"mtu\": 1450")
            }
            let after = try await cluster.showIP("node-a", "-o", "link", "show", "apus-vxlan")
            #expect(before == after)
            try await cluster.expectCluster()
        }

        private func expectCleanUp(_ cluster: ThreeNodes) async throws {
            let agent = cluster.agent("node-a")
            await agent.terminate()
            let result = try await agent.cleanUp()
            #expect(result.succeeded && result.output.contains("routes to other nodes"), "\(result)")
            #expect(try await cluster.routes("node-a") == "")
            #expect(try await !cluster.showIP("node-a", "-o", "link").contains("apus-vxlan"))
        }
    }
}
