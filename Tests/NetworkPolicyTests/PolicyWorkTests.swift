import NetworkPolicy
import PolicyGenerators
import Testing

@Suite("The cost of one change")
struct PolicyWorkTests {
    @Test("A label of a pod costs the same among 2,000 pods and 40 policies as among 50,000 pods and 1,000 policies")
    func label() {
        var (small, large) = (TeamCluster(namespaces: 20), TeamCluster(namespaces: 500))
        let (expected, found) = (small.change(role: "client"), large.change(role: "client"))
        #expect(found.work == expected.work && found.edits.count == expected.edits.count)
        // Of the 1,000 policies ten are of this node's pods: each asks for clients of another team.
        #expect(found.work == PolicyWork(pods: 1, selectors: 10, addresses: 1, lists: 0), "\(found)")
        #expect((1...4).contains(found.edits.count), "\(found)")
    }
}
