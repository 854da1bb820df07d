internal import AgentAPI
internal import Addressing
internal import Kubernetes
internal import NetworkPolicy

/// The interfaces that CNI plugins have handed over, and the pods of this node as they are with them.
///
/// A pod's addresses are in its object's status only when the pod runs. Until then, and wherever the two differ, what
/// the plugins made is what counts. A value: objects go in, objects with the right addresses come out.
struct PodAttachments: Sendable {
    private let node: String
    private(set) var held: [AttachmentKey: HeldAttachment] = [:]
    private var keys: [PodKey: AttachmentKey] = [:]
    /// Whose an address is.
    private var owners: [IPAddress: AttachmentKey] = [:]
    /// The pods of this node with networks of their own, as their source has them.
    private var pods: [PodKey: Pod] = [:]
    /// What pods have given up although their status says otherwise.
    private var released: [PodKey: Set<IPAddress>] = [:]

    init(node: String) { self.node = node }

    /// The attachment of a pod.
    subscript(pod: PodKey) -> HeldAttachment? { keys[pod].flatMap { held[$0] } }

    /// Whether the object of an attachment's pod is known.
    func knowsPod(of attachment: HeldAttachment) -> Bool {
        pods[attachment.podKey].map { attachment.isOf($0.meta) } ?? false
    }

    /// The attachments whose pods are not known, in order.
    var strangers: [HeldAttachment] {
        held.values.filter { !knowsPod(of: $0) }.sorted { $0.podKey < $1.podKey }
    }

    /// The same changes, with the addresses that the pods of this node have.
    mutating func apply(_ changes: [ObjectChange]) -> [ObjectChange] {
        changes.map { change in
            switch change {
            case .upsert(.pod(let pod)): .upsert(.pod(note(pod)))
            case .delete(let key) where key.kind == .pod: forget(key, change)
            default: change
            }
        }
    }

    private mutating func note(_ pod: Pod) -> Pod {
        let key = PodKey(pod)
        guard pod.nodeName == node, !pod.usesHostNetwork else {
            pods[key] = nil
            return pod
        }
        if let known = pods.updateValue(pod, forKey: key), known.meta.uid != pod.meta.uid { released[key] = nil }
        return seen(pod)
    }

    private mutating func forget(_ key: ObjectKey, _ change: ObjectChange) -> ObjectChange {
        let pod = PodKey(namespace: key.namespace, name: key.name)
        pods[pod] = nil
        released[pod] = nil
        return change
    }

    /// The pod with the addresses that it has.
    private func seen(_ pod: Pod) -> Pod {
        let key = PodKey(pod)
        var pod = pod
        if let attachment = self[key], attachment.isOf(pod.meta) {
            pod.addresses = attachment.attachment.addresses
        } else {
            let given = released[key] ?? []
            pod.addresses.removeAll { owners[$0] != nil || given.contains($0) }
        }
        return pod
    }

    /// What an attachment that comes takes the place of.
    func replaced(by new: HeldAttachment) -> [HeldAttachment] {
        held.values.filter { old in
            old.podKey == new.podKey || old.interface.index == new.interface.index
                || !Set(old.attachment.addresses).isDisjoint(with: new.attachment.addresses)
        }
    }

    /// Takes in an attachment. Returns the pods that have other addresses with it: those that lose some first.
    mutating func add(_ new: HeldAttachment) -> [ObjectChange] {
        let replaced = replaced(by: new)
        for old in replaced { drop(old) }
        held[new.key] = new
        keys[new.podKey] = new.key
        for address in new.attachment.addresses { owners[address] = new.key }
        released[new.podKey] = nil
        return changes(around: replaced + [new], last: new.podKey)
    }

    /// Gives up an attachment. Returns the pods that have other addresses without it.
    mutating func remove(_ key: AttachmentKey) -> [ObjectChange] {
        guard let old = held[key] else { return [] }
        let known = knowsPod(of: old)
        drop(old)
        if known { released[old.podKey, default: []].formUnion(old.attachment.addresses) }
        return changes(around: [old], last: old.podKey)
    }

    private mutating func drop(_ old: HeldAttachment) {
        held[old.key] = nil
        if keys[old.podKey] == old.key { keys[old.podKey] = nil }
        for address in old.attachment.addresses where owners[address] == old.key { owners[address] = nil }
    }

    private func changes(around attachments: [HeldAttachment], last: PodKey) -> [ObjectChange] {
        let addresses = Set(attachments.flatMap(\.attachment.addresses))
        let touched = Set(attachments.map(\.podKey))
        let others = pods.filter { key, pod in
            key != last && (touched.contains(key) || !addresses.isDisjoint(with: pod.addresses))
        }
        let ordered = others.sorted { $0.key < $1.key }.map(\.value) + [pods[last]].compactMap { $0 }
        return ordered.map { .upsert(.pod(seen($0))) }
    }
}

extension PodKey {
    fileprivate init(_ pod: Pod) { self.init(namespace: pod.meta.namespace, name: pod.meta.name) }
}
