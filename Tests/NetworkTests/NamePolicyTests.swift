import Addressing
import Datapath
import FoundationEssentials
import TestSupport
import Testing

extension NameLabTests {
    /// Kinds of policies with names, and sets of them that get in each other's way.
    @Suite(.serialized) struct NamePolicies {
        /// What was learned of one pod's policy, as names of an address.
        private func names(of address: IPAddress, for pod: LabHost, _ names: NameLab) throws -> Set<String> {
            let endpoint = try names.agent.endpoints().first { $0.addresses.contains(pod.ipv4) }
            let held = try DatapathReader(bpffs: names.agent.bpffs).learned()
            return Set(held.filter { $0.address == address && $0.policy == endpoint?.egress }.map(\.name))
        }

        private func expect(_ pod: LabHost, asking address: IPAddress, answered: Bool) async throws {
            try await eventually("\(pod.name) asking \(address) to be \(answered)") {
                try await pod.ask(address, NameLab.port, within: answered ? .seconds(5) : .milliseconds(400)).isAnswered
                    == answered
            }
        }

        @Test func domainNamesOfAClusterPolicyAdmitWhatTheyResolveToAndNothingElse() async throws {
            try await NameLab.run(options: ["--fqdn-min-ttl", "600"]) { names in
                let client = names.client
                try await expect(client, asking: NameLab.unnamed[0], answered: false)
                try names.agent.manifests.write(
                    "cluster.yaml",
                    """
                    apiVersion: policy.networking.k8s.io/v1alpha2
                    kind: ClusterNetworkPolicy
                    metadata: {name: by-name}
                    spec:
                      tier: Admin
                      priority: 5
                      subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}}
                      egress:
                      - {action: Accept, to: [{domainNames: ["*.web.test"]}]}
                      - {action: Accept, to: [{networks: ["0.0.0.0/0", "::/0"]}],
                         protocols: [{udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {number: 53}}}]}
                      - {action: Deny, to: [{networks: ["0.0.0.0/0", "::/0"]}]}

                    """)
                // What isolates the client now are the rules of the cluster alone.
                try names.agent.manifests.remove("web.yaml")
                try await eventually("the cluster's policy") {
                    let rules = try await names.agent.apus("policy", "list").output
                    return rules.contains("by-name egress[2]") && !rules.contains("default/web")
                }
                // Patterns of a former policy are known until no packet is judged by it any more.
                try await eventually("the patterns of the cluster's policy alone") {
                    try await names.agent.apus("fqdn", "explain", "shop.example.test").output.contains("no pattern")
                }
                for address in NameLab.web { try await expect(client, asking: address, answered: false) }
                for options in [["--udp"], ["--tcp"]] {
                    let found = try await names.resolve(
                        "deep.web.test", at: NameLab.service[0], from: client, count: 5, options: options)
                    #expect(found == .init(ok: 5), "\(options)")
                }
                // The name alone is not below it, and its alias leads to the same server.
                _ = try await names.look(up: "shop.example.test", from: client)
                #expect(
                    try await names.agent.apus("fqdn", "explain", "shop.example.test").output.contains("no pattern"))
                try await expect(client, asking: NameLab.unnamed[0], answered: false)
                let rows = try await names.agent.apus("fqdn", "list").output
                #expect(rows.contains("ClusterNetworkPolicy by-name egress[0]"), "\(rows)")
            }
        }

        @Test func patternsThatMultiplyAreRefusedByFieldAndTheOthersWork() async throws {
            try await NameLab.run { names in
                let heavy = "abcdefghijklmnopqrstuvwx".map { "{pattern: \"*\($0)*\($0)*\"}" }
                try names.agent.manifests.write(
                    "heavy.yaml", NameLab.policy("heavy", app: "stranger", ["{name: plain.web.test}"] + heavy))
                try await eventually("the refusal") {
                    let status = try await names.agent.apus("status").output
                    return status.contains("default/heavy") && status.contains("spec.egress[0].matches[")
                        && status.contains("].pattern: pattern *") && !status.contains("default/web:")
                }
                let rows = try await names.agent.apus("fqdn", "list").output.split(separator: "\n").map {
                    $0.split(separator: " ").map(String.init)
                }
                #expect(rows.contains { $0.starts(with: ["plain.web.test", "yes"]) }, "\(rows)")
                #expect(rows.contains { $0[0].contains("*") && $0[1] == "no" }, "\(rows)")
                // Both the policy that was there and the rest of the new one are in force.
                let found = try await names.resolve("web.test", at: NameLab.service[0], from: names.client, count: 5)
                #expect(found == .init(ok: 5))
                let stranger = names.lab.pod("stranger")
                #expect(try await names.look(up: "plain.web.test", from: stranger).contains("\(NameLab.web[0])"))
                try await expect(stranger, asking: NameLab.web[0], answered: true)
                try names.agent.manifests.remove("heavy.yaml")
                try await eventually("no refusal any more") {
                    try await !names.agent.apus("status").output.contains("default/heavy")
                }
            }
        }

        @Test func anAddressUnderSeveralNamesCountsForEachPolicyByItsOwn() async throws {
            try await NameLab.run(options: ["--fqdn-min-ttl", "600"]) { names in
                let (client, stranger) = (names.client, names.lab.pod("stranger"))
                for name in ["other.web.test", "b.web.test", "shop.example.test"] {
                    #expect(try await names.look(up: name, from: client).contains("\(NameLab.web[0])"), "\(name)")
                }
                let all: Set = ["other.web.test", "b.web.test", "shop.example.test"]
                #expect(try self.names(of: NameLab.web[0], for: client, names) == all)
                // The other policy has one of the names, and has learned nothing by that.
                try await expect(client, asking: NameLab.web[0], answered: true)
                try await expect(stranger, asking: NameLab.web[0], answered: false)
                _ = try await names.look(up: "other.web.test", from: stranger)
                try await expect(stranger, asking: NameLab.web[0], answered: true)
                #expect(try self.names(of: NameLab.web[0], for: stranger, names) == ["other.web.test"])
                // A pattern that goes takes its names with it, and leaves the others'.
                try names.agent.manifests.edit("web.yaml", "{pattern: \"*.web.test\"}, ", to: "")
                try await eventually("the smaller policy") {
                    try await !names.agent.apus("fqdn", "list").output.contains("*.web.test")
                }
                try await expect(client, asking: NameLab.web[0], answered: true)
                try await expect(stranger, asking: NameLab.web[0], answered: true)
                try names.agent.manifests.edit("web.yaml", "Shop.Example.test", to: "nothing.example.test")
                try await expect(client, asking: NameLab.web[0], answered: false)
                try await expect(stranger, asking: NameLab.web[0], answered: true)
            }
        }

        @Test func mapsOfOtherSizesTakeOverWhatWasLearnedUnderLoad() async throws {
            let lasting = ["--fqdn-min-ttl", "600"]
            try await NameLab.run(options: lasting) { names in
                let client = names.client
                // Names below one pattern take each other's place at an address; this one has a pattern of its own.
                #expect(try await names.look(up: "shop.example.test", from: client).contains("\(NameLab.web[0])"))
                let held = try await client.hold(NameLab.web[0], NameLab.port)
                let denied = try names.agent.drops(.policyIsolated)
                for sizes in [
                    ["--map-size-learned", "4096"], ["--map-size-learned", "1024", "--map-size-learned-names", "2048"],
                    ["--map-size-connections", "8192", "--map-size-policy", "2048"],
                ] {
                    async let load = names.resolve(
                        "web.test", at: NameLab.service[0], from: client, count: 2_000,
                        options: ["--udp", "--rate", "200"])
                    try await names.agent.restart(options: lasting + sizes)
                    #expect(try await load == .init(ok: 2_000), "\(sizes)")
                    let learned = try DatapathReader(bpffs: names.agent.bpffs).learned()
                    let isKept = learned.contains { $0.name == "shop.example.test" && $0.address == NameLab.web[0] }
                    #expect(isKept, "\(sizes)")
                    #expect(try await names.agent.apus("verify").succeeded, "\(sizes)")
                }
                #expect(try names.agent.drops(.policyIsolated) == denied)
                #expect(held.states == ["connected"], "\(held.lines)")
            }
        }

        /// As truncated answers over UDP have the client ask again over TCP.
        @Test(arguments: ["unbound", "dnsmasq"])
        func aLongAnswerOfARealServerIsLearnedOverTCP(server: String) async throws {
            try await NameLab.run(options: ["--dns-server", "172.31.0.0/24", "--fqdn-min-ttl", "600"]) { names in
                let outside = names.lab.outside("outside")
                if server == "unbound" {
                    try await names.startUnbound(on: outside, more: 300)
                } else {
                    _ = try await outside.serveNames(
                        ["--local=/test/"]
                            + (0..<300).map { "--host-record=long.web.test,203.0.\(113 + $0 / 250).\(1 + $0 % 250)" })
                }
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                try await eventually("the answer to be learned") {
                    _ = try await names.look(up: "long.web.test", from: names.client, at: outside.ipv4)
                    let learned = try DatapathReader(bpffs: names.agent.bpffs).learned()
                    return Set(learned.filter { $0.name == "long.web.test" }.map(\.address)).count >= 300
                }
                // It comes in one segment.
                #expect(try names.count(.learned) > 0 && names.count(.handedOver) == 0)
            }
        }
    }
}
