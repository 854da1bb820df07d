import Addressing
import AgentAPI
import Kubernetes
import NetworkPolicy
import TestSupport
import Testing

@testable import Agent

/// Which addresses pods have, by what plugins handed over and by what their objects say.
@Suite struct PodAttachmentsTests {
    private static func pod(
        _ name: String, uid: String = "", node: String = "node-a", _ addresses: [String] = [],
        annotations: [String: String] = [:]
    ) -> Pod {
        let meta = ObjectMeta(
            name: name, namespace: "shop", uid: uid.isEmpty ? "uid-\(name)" : uid, annotations: annotations)
        return Pod(meta: meta, nodeName: node, addresses: addresses.map { ip($0) })
    }

    private static func attachment(
        _ name: String, _ addresses: [String], uid: String? = nil, container: String? = nil, index: UInt32 = 7
    ) -> HeldAttachment {
        let pod = PodAttachment.Pod(namespace: "shop", name: name, uid: uid)
        let key = AttachmentKey(network: "k8s", container: container ?? "c-\(name)", interface: "eth0")
        let made = PodAttachment(key: key, pod: pod, addresses: addresses.map { ip($0) }, waitMilliseconds: 1)
        return HeldAttachment(
            attachment: made, pod: pod, interface: .init(index: index, name: "veth\(index)", address: "02::\(index)"))
    }

    /// The pods of changes, with their addresses.
    private static func told(_ changes: [ObjectChange]) -> [String] {
        changes.map { change in
            guard case .upsert(.pod(let pod)) = change else { return "\(change)" }
            return ([pod.meta.name] + pod.addresses.map(\.description)).joined(separator: " ")
        }
    }

    private var attachments = PodAttachments(node: "node-a")

    private mutating func see(_ pod: Pod) -> [String] { Self.told(attachments.apply([.upsert(.pod(pod))])) }

    @Test mutating func aPodHasItsAddressesBeforeItsStatusSaysSo() {
        #expect(attachments.add(Self.attachment("web", ["10.0.0.1", "fd00::1"])).isEmpty)
        #expect(attachments.strangers.map(\.pod.name) == ["web"])
        #expect(see(Self.pod("web")) == ["web 10.0.0.1 fd00::1"])
        #expect(attachments.strangers.isEmpty)
        #expect(see(Self.pod("web", ["10.0.0.1"])) == ["web 10.0.0.1 fd00::1"])
    }

    @Test mutating func anObjectThatIsThereAlreadyIsToldAgain() {
        #expect(see(Self.pod("web")) == ["web"])
        #expect(Self.told(attachments.add(Self.attachment("web", ["10.0.0.1"]))) == ["web 10.0.0.1"])
    }

    @Test mutating func anEarlierPodOfTheNameIsNotMeant() {
        #expect(see(Self.pod("web", uid: "old", ["10.0.0.9"])) == ["web 10.0.0.9"])
        #expect(Self.told(attachments.add(Self.attachment("web", ["10.0.0.1"], uid: "new"))) == ["web 10.0.0.9"])
        #expect(!attachments.strangers.isEmpty)
        #expect(see(Self.pod("web", uid: "new")) == ["web 10.0.0.1"])
    }

    @Test mutating func thePodOfAFileIsKnownByItsMirror() {
        _ = attachments.add(Self.attachment("web", ["10.0.0.1"], uid: "hash"))
        #expect(
            see(Self.pod("web", uid: "api", annotations: ["kubernetes.io/config.mirror": "hash"])) == ["web 10.0.0.1"])
    }

    @Test mutating func whatWasGivenUpIsNotThePodsWhateverItsStatusSays() {
        _ = attachments.add(Self.attachment("web", ["10.0.0.1"]))
        _ = see(Self.pod("web", ["10.0.0.1"]))
        #expect(Self.told(attachments.remove(Self.attachment("web", []).key)) == ["web"])
        #expect(see(Self.pod("web", ["10.0.0.1"])) == ["web"])
        // It came up again without us, or another pod of its name did.
        #expect(see(Self.pod("web", ["10.0.0.2"])) == ["web 10.0.0.2"])
        #expect(see(Self.pod("web", uid: "other", ["10.0.0.1"])) == ["web 10.0.0.1"])
        #expect(attachments.remove(Self.attachment("web", []).key).isEmpty)
    }

    @Test mutating func anAddressIsThatOfThePodItWasGivenToLast() {
        _ = see(Self.pod("old", ["10.0.0.1"]))
        _ = see(Self.pod("new"))
        // The one that loses it comes first.
        #expect(Self.told(attachments.add(Self.attachment("new", ["10.0.0.1"]))) == ["old", "new 10.0.0.1"])
        #expect(see(Self.pod("old", ["10.0.0.1"])) == ["old"])
    }

    @Test mutating func anAttachmentTakesThePlaceOfThoseItCantBeBeside() {
        _ = see(Self.pod("web"))
        _ = see(Self.pod("db"))
        _ = attachments.add(Self.attachment("web", ["10.0.0.1"], container: "a", index: 1))
        // Its sandbox was made anew, and nobody said that the old one went.
        #expect(
            Self.told(attachments.add(Self.attachment("web", ["10.0.0.2"], container: "b", index: 2)))
                == ["web 10.0.0.2"])
        #expect(attachments.held.count == 1)
        // Its address was given to another pod.
        #expect(
            Self.told(attachments.add(Self.attachment("db", ["10.0.0.2"], index: 3))) == ["web", "db 10.0.0.2"])
        #expect(attachments.held.values.map(\.pod.name) == ["db"])
    }

    @Test mutating func podsOfOtherNodesAndOfTheHostsNetworkAreLeftAlone() {
        _ = attachments.add(Self.attachment("web", ["10.0.0.1"]))
        #expect(see(Self.pod("web", node: "node-b", ["10.0.0.1"])) == ["web 10.0.0.1"])
        var host = Self.pod("host", ["172.31.0.1"])
        host.usesHostNetwork = true
        #expect(see(host) == ["host 172.31.0.1"])
    }

    @Test mutating func aDeletedPodIsForgottenWithWhatItGaveUp() {
        _ = attachments.add(Self.attachment("web", ["10.0.0.1"]))
        _ = see(Self.pod("web"))
        _ = attachments.remove(Self.attachment("web", []).key)
        _ = attachments.apply([.delete(ObjectKey(.pod, namespace: "shop", name: "web"))])
        #expect(see(Self.pod("web", ["10.0.0.1"])) == ["web 10.0.0.1"])
    }
}
