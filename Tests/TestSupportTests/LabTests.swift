import Addressing
import Foundation
import TestSupport
import Testing

@Suite struct LabNetworks {
    @Test func podsTalkToEachOtherThroughTheirNode() async throws {
        try await withLab(.oneNode(pods: ["web-1", "client"])) { lab in
            let (web, client) = (lab.pod("web-1"), lab.pod("client"))
            try await web.serve(port: 8080, over: .tcp)
            try await web.serve(port: 8080, over: .udp)
            for address in web.addresses {
                #expect(try await client.ask(address, 8080, over: .tcp) == .answered("web-1"))
                #expect(try await client.ask(address, 8080, over: .udp) == .answered("web-1"))
                #expect(
                    try await client.ask(address, 8080, over: .udp, options: ["--unconnected"]) == .answered("web-1"))
                #expect(try await client.ask(address, 9, over: .tcp) == .refused)
                #expect(try await client.ask(address, 9, over: .udp) == .refused)
            }
            #expect(try await client.ask(ip("10.244.1.99"), 80, over: .tcp, within: .milliseconds(200)) != .refused)
        }
    }

    @Test func nodesAndOutsideHostsReachPodsAndBack() async throws {
        var plan = LabPlan(
            nodes: [NodePlan("node-a", number: 1, pods: ["web"]), NodePlan("node-b", number: 2, pods: ["other"])],
            outside: [HostPlan("world", number: 1, moreAddresses: [ip("203.0.113.10"), ip("2001:db8::10")])])
        plan.pairs = [PairPlan("left", "right", number: 1)]
        try await withLab(plan) { lab in
            for name in ["web", "world", "node-a", "right"] { try await lab.host(name).serve(port: 80) }
            for (from, to) in [
                ("world", "web"), ("other", "web"), ("node-a", "web"), ("node-b", "web"), ("web", "world"),
                ("web", "node-a"), ("other", "node-a"), ("left", "right"),
            ] {
                for address in lab.host(to).addresses {
                    #expect(try await lab.host(from).ask(address, 80) == .answered(to), "\(from) to \(address)")
                }
            }
            for address in [ip("203.0.113.10"), ip("2001:db8::10")] {
                #expect(try await lab.pod("web").ask(address, 80) == .answered("world"))
            }
        }
    }

    @Test func podsComeAndGoWhileTheLabLives() async throws {
        try await withLab(.oneNode(pods: ["web", "client"])) { lab in
            let address = lab.pod("web").ipv4
            let first = try await lab.pod("web").serve(port: 80, id: "first")
            #expect(try await lab.pod("client").ask(address, 80) == .answered("first"))
            try await lab.removePod("web")
            #expect(await first.exit().ending == .killed(by: 9))
            let again = try await lab.addPod(PodPlan("web", addresses: [address]), to: "node-a")
            try await again.serve(port: 80, id: "second")
            #expect(try await lab.pod("client").ask(address, 80) == .answered("second"))
        }
    }

    @Test func aPodRunsInsideItsOwnCgroupAndNamespace() async throws {
        try await withLab(.oneNode(pods: ["client"])) { lab in
            let (node, pod) = (lab.node("node-a"), lab.pod("client"))
            #expect(pod.cgroup.hasPrefix(node.cgroup + "/"))
            #expect(try await pod.output(["cat", "/proc/self/cgroup"]).hasSuffix(suffix(of: pod.cgroup)))
            let uncovered = try await pod.output(["cat", "/proc/self/cgroup"], covered: false)
            #expect(uncovered.hasSuffix(suffix(of: pod.uncoveredCgroup)) && !pod.uncoveredCgroup.hasPrefix(node.cgroup))
            #expect(try await pod.output(["cat", "/sys/class/net/eth0/address"]) != "\(pod.macAddress)\n")
            #expect(try await pod.output(["ip", "link", "show", "eth0"]).contains("\(pod.macAddress)"))
            #expect(try await node.output(["ip", "link", "show"]).contains(" v-client@"))
            #expect(try await node.output(["stat", "-f", "-c", "%T", lab.bpffs]) == "bpf_fs\n")
        }
    }

    private func suffix(of cgroup: String) -> String {
        cgroup.split(separator: "/").suffix(3).joined(separator: "/") + "\n"
    }

    @Test func aLabIsListedWhileItLives() async throws {
        let id = try await withLab(.oneNode(pods: (1...6).map { "pod-\($0)" })) { lab in
            let all = try Lab.all()
            #expect(all.contains(lab.id))
            return lab.id
        }
        #expect(try !Lab.all().contains(id))
    }
}
