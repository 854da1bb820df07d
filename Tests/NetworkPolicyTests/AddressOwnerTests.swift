import Addressing
import NetworkPolicy
import Testing

/// Whose an address is, while pods that claim it come, change and go.
@Suite struct AddressOwnerTests {
    private static let shared = IPAddress("10.244.0.1")

    private func pod(_ name: String, label: String = "a", at addresses: [IPAddress?] = [Self.shared]) -> PolicyInput {
        .pod(
            PolicyPod(
                key: PodKey(namespace: "shop", name: name), labels: ["app": label],
                addresses: addresses.compactMap { $0 }))
    }

    private func owner(after inputs: [PolicyInput]) throws -> String? {
        var compiler = PolicyCompiler(node: "node-a")
        for input in inputs { _ = compiler.apply(input) }
        return compiler.owner(of: try #require(Self.shared))?.name
    }

    @Test func aPodKeepsItsAddressWhenItsLabelsChange() throws {
        #expect(try owner(after: [pod("one"), pod("one", label: "b")]) == "one")
        #expect(try owner(after: [pod("one"), pod("two"), pod("two", label: "b"), pod("one", label: "b")]) == "one")
    }

    @Test func ofSeveralTheFirstByNameHasIt() throws {
        #expect(try owner(after: [pod("two"), pod("one")]) == "one")
        #expect(try owner(after: [pod("two"), pod("one"), pod("three")]) == "one")
    }

    @Test func whoGoesLeavesItToTheNext() throws {
        let gone = PolicyInput.podRemoved(PodKey(namespace: "shop", name: "one"))
        #expect(try owner(after: [pod("two"), pod("one"), gone]) == "two")
        #expect(try owner(after: [pod("two"), pod("one"), pod("two", label: "b"), gone]) == "two")
        #expect(try owner(after: [pod("two"), pod("one"), pod("one", at: [IPAddress("10.244.0.9")])]) == "two")
        #expect(try owner(after: [pod("one"), gone]) == nil)
    }

    /// What the compiler finds by an address is the pod as it is now.
    @Test func whatIsJudgedByAnAddressIsTheNewPod() throws {
        var compiler = PolicyCompiler(node: "node-a")
        _ = compiler.apply(pod("one"))
        _ = compiler.apply(pod("one", label: "b"))
        let oracle = compiler.oracle([])
        #expect(oracle.pod(PodKey(namespace: "shop", name: "one"))?.labels == ["app": "b"])
    }
}
