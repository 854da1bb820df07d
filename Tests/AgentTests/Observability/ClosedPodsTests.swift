import Addressing
import NetworkPolicy
import Testing

@testable import Agent
@testable import Datapath

/// Which pods and policies are told to be closed.
@Suite struct ClosedPodsOfANode {
    private static let pod = PodKey(namespace: "shop", name: "db-1")
    private static let full = MapError(code: 7, description: "full")

    private func policy(_ name: String, rules: Int, egress: Bool = false) -> PolicyInput {
        .policy(
            NetworkPolicyObject(
                namespace: "shop", name: name, policyTypes: egress ? [.egress] : nil,
                ingress: (0..<rules).map { PolicyRule(ports: [PortRule(.tcp, .number($0 % 65_536))]) }))
    }

    private func compiler(_ policies: [PolicyInput]) -> PolicyCompiler {
        var compiler = PolicyCompiler(node: "n1")
        let pod = PolicyPod(key: Self.pod, labels: [:], addresses: [IPAddress(v4: 0x0a00_0001)], node: "n1")
        _ = compiler.apply([.namespace("shop", labels: [:]), .pod(pod)] + policies)
        return compiler
    }

    private func state(_ problems: [DatapathProblem]) -> ProgrammingState {
        var (state, report) = (ProgrammingState(), ProgrammingReport())
        report.problems = problems
        state.note(report, started: 1, ended: 1)
        return state
    }

    private func closed(_ direction: TrafficDirection) -> DatapathProblem {
        DatapathProblem(object: "endpoint shop/db-1", reason: .closed(direction, policy: "p"))
    }

    @Test func whereRulesAreTooManyThePodIsToldAndItsOtherPoliciesOfThatDirection() {
        let compiler = compiler([
            policy("long", rules: CompiledPolicy.maximumRules + 1), policy("other", rules: 1),
            policy("out", rules: 0, egress: true),
        ])
        let closed = ClosedPods(compiler, ProgrammingState()) { compiler.endpoint($0) }
        #expect(closed.overlong.map(\.pod) == [Self.pod])
        let problem = closed.overlong.first?.problem
        #expect(problem?.object == ObjectReference(kind: "Pod", namespace: "shop", name: "db-1"))
        #expect(
            problem?.message
                == "closed: its ingress is dropped, as it has more than 16384 rules with NetworkPolicy shop/long")
        #expect(closed.judging.map(\.policy.name) == ["other"], "the long one is told with its field")
        #expect(
            closed.judging.first?.problem.message
                == "not in force for pods of this node, whose ingress is dropped: they have more than 16384 rules with "
                + "NetworkPolicy shop/long")
        #expect(closed.judging.first?.problem.reason == .closed)
        let kept = ClosedPods(compiler, ProgrammingState()) { _ in EndpointPolicies() }
        #expect(kept.overlong.isEmpty && kept.judging.isEmpty, "the pod is still judged as before the start")
    }

    @Test func whatFindsNoRoomNamesThePoliciesAndOnlyMapsThatMatter() {
        let compiler = compiler([policy("web", rules: 1), policy("out", rules: 0, egress: true)])
        func judging(_ others: [DatapathProblem]) -> [ObjectProblem] {
            let closed = ClosedPods(compiler, state([closed(.ingress)] + others)) { compiler.endpoint($0) }
            #expect(closed.overlong.isEmpty)
            return closed.judging.map(\.problem)
        }
        let ports = DatapathProblem(object: "policy p", reason: .refused(.policyPorts, Self.full))
        let services = DatapathProblem(object: "service s", reason: .refused(.services, Self.full))
        let (found, later) = (judging([ports, services]), judging([services]))
        #expect(
            found.map(\.message) == [
                "not in force for pods of this node, whose ingress is dropped: they could not be written in full, "
                    + "map policy_ports is full (--map-size-policy)"
            ])
        #expect(later.map(\.key) == found.map(\.key) && later != found, "another text of the same problem")
    }
}
