import Kubernetes
import NetworkPolicy
import Testing

@testable import PolicyTranslation

@Suite struct NamespacesOfPods {
    private static let byName = ["kubernetes.io/metadata.name": "shop"]

    private func namespace(_ labels: [String: String]) -> ObjectChange {
        .upsert(.namespace(Namespace(meta: ObjectMeta(name: "shop", labels: labels))))
    }

    private func pod(_ name: String) -> ObjectChange {
        .upsert(.pod(Pod(meta: ObjectMeta(name: name, namespace: "shop"))))
    }

    private let namespaceGone = ObjectChange.delete(ObjectKey(.namespace, name: "shop"))

    private func gone(_ pod: String) -> ObjectChange { .delete(ObjectKey(.pod, namespace: "shop", name: pod)) }

    @Test func everyNamespaceHasItsNameAmongItsLabels() {
        var state = NamespaceLabels()
        let labels = Self.byName.merging(["env": "prod"]) { $1 }
        #expect(state.apply([namespace(["env": "prod"])]) == [.namespace("shop", labels: labels)])
        #expect(state.apply([namespace(["env": "prod"]), pod("web")]).isEmpty, "nothing has changed")
        #expect(
            state.apply([namespace(["kubernetes.io/metadata.name": "x"])]) == [.namespace("shop", labels: Self.byName)])
    }

    @Test func theAuditModeOfANamespaceIsItsObjects() {
        var state = NamespaceLabels()
        let audited = ObjectMeta(name: "shop", annotations: ["apus.dev/policy-audit": "true"])
        #expect(state.apply([pod("web")]) == [.namespace("shop", labels: Self.byName)])
        #expect(
            state.apply([.upsert(.namespace(Namespace(meta: audited)))])
                == [.namespace("shop", labels: Self.byName, isAudited: true)])
        #expect(state.apply([namespaceGone]) == [.namespace("shop", labels: Self.byName)])
    }

    @Test func aNamespaceWithoutAnObjectIsThereWhileItHasPods() {
        var state = NamespaceLabels()
        #expect(state.apply([pod("web"), pod("db")]) == [.namespace("shop", labels: Self.byName)])
        #expect(state.apply([gone("web")]).isEmpty)
        #expect(state.apply([gone("db")]) == [.namespaceRemoved("shop")])
    }

    @Test func aNamespaceWhoseObjectGoesAwayKeepsItsNameWhileItHasPods() {
        var state = NamespaceLabels()
        _ = state.apply([namespace(["env": "prod"]), pod("web")])
        #expect(state.apply([namespaceGone]) == [.namespace("shop", labels: Self.byName)])
        #expect(state.apply([namespace([:])]).isEmpty, "only the name is known of either")
        #expect(state.apply([namespaceGone, gone("web")]) == [.namespaceRemoved("shop")])
    }
}
