internal import AgentAPI
internal import Addressing
internal import Kubernetes
internal import NetworkPolicy

/// An interface that a CNI plugin has handed over, with what was found of it.
struct HeldAttachment: Sendable, Hashable, Codable {
    /// The host's end of the link.
    struct Interface: Sendable, Hashable, Codable {
        var index: UInt32
        var name: String
        /// Its hardware address: another interface with the same number has another one.
        var address: String
    }

    /// The annotation of the Pod object that stands for a pod which the kubelet started from a file: its UID there.
    private static let mirrorAnnotation = "kubernetes.io/config.mirror"

    var attachment: PodAttachment
    var pod: PodAttachment.Pod
    var interface: Interface

    var key: AttachmentKey { attachment.key }
    var podKey: PodKey { PodKey(namespace: pod.namespace, name: pod.name) }

    /// Whether an object is the pod that is meant, and not an earlier or a later one of its name.
    func isOf(_ meta: ObjectMeta) -> Bool {
        guard let uid = pod.uid, !meta.uid.isEmpty else { return true }
        return meta.uid == uid || meta.annotations[Self.mirrorAnnotation] == uid
    }
}
