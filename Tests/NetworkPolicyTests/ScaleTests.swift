internal import Addressing
internal import NetworkPolicy
import Testing

@Suite("A large cluster")
struct ScaleTests {
    private func pod(_ number: Int, app: Int) -> PolicyPod {
        PolicyPod(
            key: PodKey(namespace: "ns\(number % 50)", name: "pod\(number)"), labels: ["app": "a\(app)"],
            addresses: [IPAddress(v4: 0x0a00_0000 + UInt32(number))], node: number % 100 == 0 ? "n1" : "n2")
    }

    private func policy(_ number: Int) -> NetworkPolicyObject {
        NetworkPolicyObject(
            namespace: "ns\(number % 50)", name: "p\(number)",
            ingress: [
                PolicyRule(
                    peers: [
                        .pods(
                            namespaceSelector: .everything,
                            podSelector: LabelSelector(matchLabels: ["app": "a\(number)"]))
                    ], ports: [PortRule(.tcp, .number(80))])
            ])
    }

    /// What a change of the label of each of some pods takes, and how many edits come of it.
    private func costs(pods: Int, policies: Int) -> [Cost] {
        var compiler = PolicyCompiler(node: "n1")
        var inputs: [PolicyInput] = (0..<50).map { .namespace("ns\($0)", labels: [:]) }
        inputs += (0..<pods).map { .pod(pod($0, app: $0 % policies)) }
        inputs += (0..<policies).map { .policy(policy($0)) }
        _ = compiler.apply(inputs)
        return stride(from: 50, to: 500, by: 100).map { number in
            let before = compiler.work
            // A policy names it that selects no pod of this node, and one from now on that does.
            _ = compiler.apply(.pod(pod(number, app: 3)))
            let edits = compiler.apply(.pod(pod(number, app: 0))).count
            return Cost(work: compiler.work - before, edits: edits)
        }
    }

    private struct Cost: Equatable {
        let work: PolicyWork
        let edits: Int
    }

    @Test("One label change looks at its pod and makes one edit, whatever the size of the cluster")
    func labelChange() {
        let (small, large) = (costs(pods: 500, policies: 20), costs(pods: 5_000, policies: 200))
        #expect(small == large)
        #expect(
            large.allSatisfy { $0 == Cost(work: PolicyWork(pods: 2, selectors: 1, addresses: 2, lists: 0), edits: 1) },
            "\(large)")
    }
}
