import Addressing
import NetworkPolicy
import Testing

@Suite("The cost of one change")
struct PolicyWorkTests {
    /// A cluster of namespaces with 100 pods and two policies each; ten of the pods are on this node.
    private struct Cluster {
        var compiler = PolicyCompiler(node: "here")

        init(namespaces: Int) {
            var inputs: [PolicyInput] = []
            for number in 0..<namespaces {
                inputs.append(.namespace("n\(number)", labels: ["team": "t\(number % 10)"]))
                inputs += (0..<100).map { .pod(Self.pod(number, $0, role: "other")) }
                inputs += ["web", "db"].map { .policy(Self.policy(number, $0)) }
            }
            _ = compiler.apply(inputs)
        }

        static func pod(_ namespace: Int, _ number: Int, role: String) -> PolicyPod {
            let address = IPAddress(v4: 10 << 24 | UInt32(namespace) << 8 | UInt32(number))
            return PolicyPod(
                key: PodKey(namespace: "n\(namespace)", name: "p\(number)"),
                labels: ["app": number == 0 ? "web" : "db", "role": role], addresses: [address],
                node: namespace < 10 && number == 0 ? "here" : "there")
        }

        /// Admits the clients of the namespace's team.
        private static func policy(_ namespace: Int, _ app: String) -> NetworkPolicyObject {
            let team = LabelSelector(matchLabels: ["team": "t\(namespace % 10)"])
            let clients = LabelSelector(matchLabels: ["role": "client"])
            return NetworkPolicyObject(
                namespace: "n\(namespace)", name: app, podSelector: LabelSelector(matchLabels: ["app": app]),
                ingress: [PolicyRule(peers: [.pods(namespaceSelector: team, podSelector: clients)])])
        }

        /// What it takes to make a pod elsewhere a client, and how many edits come of it.
        mutating func change() -> (work: PolicyWork, edits: Int) {
            let before = compiler.work
            let edits = compiler.apply(.pod(Self.pod(15, 7, role: "client")))
            return (compiler.work - before, edits.count)
        }
    }

    @Test("A label of a pod costs the same among 2,000 pods and 40 policies as among 50,000 pods and 1,000 policies")
    func label() {
        var (small, large) = (Cluster(namespaces: 20), Cluster(namespaces: 500))
        let (expected, found) = (small.change(), large.change())
        #expect(found.work == expected.work && found.edits == expected.edits)
        #expect(found.work == PolicyWork(pods: 1, addresses: 1, lists: 0), "\(found)")
        #expect((1...4).contains(found.edits), "\(found)")
    }
}
