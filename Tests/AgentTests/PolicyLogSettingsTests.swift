import FlowExport
import Kubernetes
import Testing

@testable import Agent

@Suite("What the cluster says of the policy log")
struct PolicyLogSettingsTests {
    private static func logging(
        _ name: String = "default", allow: NetworkLogging.Choice = .init(), deny: NetworkLogging.Choice = .init()
    ) -> ObjectChange {
        .upsert(.networkLogging(NetworkLogging(meta: ObjectMeta(name: name), allow: allow, deny: deny)))
    }

    private static func policy(_ annotations: [String: String]) -> ObjectChange {
        .upsert(
            .networkPolicy(
                NetworkPolicy(meta: ObjectMeta(name: "web", namespace: "shop", annotations: annotations))))
    }

    @Test("nothing is known before all objects have been read")
    func unknown() {
        let settings = PolicyLogSettings()
        settings.apply([Self.logging(allow: .init(log: true))])
        #expect(settings.choice == nil)
        settings.noteSynced()
        #expect(settings.choice?.allow == .all)
    }

    @Test("only the object of the name default counts, and without it nothing is logged")
    func object() {
        let settings = PolicyLogSettings()
        settings.noteSynced()
        #expect(settings.choice == PolicyLogChoice())
        settings.apply([Self.logging("other", allow: .init(log: true))])
        #expect(settings.choice == PolicyLogChoice())
        settings.apply([Self.logging(allow: .init(log: true, delegate: true), deny: .init(log: true))])
        #expect(settings.choice?.allow == .delegated && settings.choice?.deny == .all)
        settings.apply([.delete(ObjectKey(.networkLogging, name: "other"))])
        #expect(settings.choice?.deny == .all)
        settings.apply([.delete(ObjectKey(.networkLogging, name: "default"))])
        #expect(settings.choice == PolicyLogChoice())
    }

    @Test("annotations of policies and namespaces come and go with them")
    func annotations() {
        let settings = PolicyLogSettings()
        settings.noteSynced()
        let (allow, deny) = ("policy.network.gke.io/enable-logging", "policy.network.gke.io/enable-deny-logging")
        let shop = ObjectChange.upsert(
            .namespace(Namespace(meta: ObjectMeta(name: "shop", annotations: [deny: "true"]))))
        settings.apply([Self.policy([allow: "true"]), shop])
        #expect(settings.choice?.policies == [.init(kind: "NetworkPolicy", namespace: "shop", name: "web")])
        #expect(settings.choice?.namespaces == ["shop"])
        settings.apply([Self.policy([allow: "false"]), .delete(ObjectKey(.namespace, name: "shop"))])
        #expect(settings.choice == PolicyLogChoice())
        settings.apply([Self.policy([allow: "true"])])
        settings.apply([.delete(ObjectKey(.networkPolicy, namespace: "shop", name: "web"))])
        #expect(settings.choice == PolicyLogChoice())
    }
}
