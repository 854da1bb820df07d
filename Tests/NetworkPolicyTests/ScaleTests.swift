internal import Addressing
internal import NetworkPolicy
import Testing

@Suite("A large cluster")
struct ScaleTests {
    private static let pods = 5_000
    private static let policies = 200

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

    @Test("One label change makes a few edits, whatever the size of the cluster")
    func labelChange() {
        var compiler = PolicyCompiler(node: "n1")
        var inputs: [PolicyInput] = (0..<50).map { .namespace("ns\($0)", labels: [:]) }
        inputs += (0..<Self.pods).map { .pod(pod($0, app: $0 % Self.policies)) }
        inputs += (0..<Self.policies).map { .policy(policy($0)) }
        let clock = ContinuousClock()
        let filling = clock.measure { _ = compiler.apply(inputs) }
        var changes = 0
        let taken = clock.measure {
            for number in 0..<1_000 where number % 100 == 50 {
                changes += compiler.apply(.pod(pod(number, app: (number + 50) % Self.policies))).count
            }
        }
        #expect(changes == 10, "\(changes) edits")
        // Ten of 5,000 pods: looking at every pod or policy again would cost as much as filling.
        #expect(taken < filling / 5, "\(taken) of \(filling)")
    }
}
