internal import Flows

/// What Hubble calls the identity of an end: a number for its set of labels.
struct Identity {
    /// Numbers that Cilium keeps for ends without labels of their own (its pkg/identity).
    private enum Reserved: UInt32 {
        case host = 1
        case world = 2
        case remoteNode = 6

        var label: String {
            switch self {
            case .host: "reserved:host"
            case .world: "reserved:world"
            case .remoteNode: "reserved:remote-node"
            }
        }
    }

    let number: UInt32
    /// Sorted.
    let labels: [String]

    init(_ peer: Peer, node: String) {
        switch peer.kind {
        case .pod:
            labels = Self.labels(peer)
            number = Self.number(labels)
        case .node: (number, labels) = Self.reserved(peer.name == node ? .host : .remoteNode)
        case .service, .world: (number, labels) = Self.reserved(.world)
        }
    }

    private static func reserved(_ identity: Reserved) -> (UInt32, [String]) {
        (identity.rawValue, [identity.label])
    }

    private static func labels(_ peer: Peer) -> [String] {
        let own = peer.labels.map { "k8s:\($0.key)=\($0.value)" }
        return (own + ["k8s:io.kubernetes.pod.namespace=\(peer.namespace ?? "")"]).sorted()
    }

    /// The same on every node: FNV-1a of the labels, above the numbers of local and reserved identities and within the
    /// 24 bits that identities have.
    private static func number(_ labels: [String]) -> UInt32 {
        var hash: UInt32 = 2_166_136_261
        for label in labels {
            for byte in label.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
            hash = (hash ^ 0) &* 16_777_619
        }
        return 65_536 + hash % (1 << 24 - 65_536)
    }
}
