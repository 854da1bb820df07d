import Kubernetes

/// An API server for one kind, as far as lists and watches can tell: objects, and the changes that it still remembers.
struct ModelServer {
    private struct Change {
        let version: Int
        let event: WatchEvent
    }

    /// The answer to one request, as far as it has been given.
    struct Answer {
        enum Body {
            case page([ReceivedObject], ListEnvelope)
            case events(pending: [WatchEvent], endsAt: Int?, follows: Int)
            case refusal(APIRefusal)
        }

        var body: Body
    }

    /// Whether it has streaming lists; if not, whether it says so or just never sends the mark.
    enum Streaming: CaseIterable {
        case known, refused, ignored
    }

    var streaming = Streaming.known
    /// Whether it has the kind at all.
    var isInstalled = true
    private(set) var objects: [String: KubernetesObject] = [:]
    private(set) var version = 1
    private var changes: [Change] = []
    /// The oldest version that a watch can go on from.
    private var oldest = 1
    private var snapshots: [String: (objects: [KubernetesObject], version: Int)] = [:]

    static func object(_ name: String, version: Int, uid: Int) -> KubernetesObject {
        .namespace(
            Namespace(
                meta: ObjectMeta(
                    name: name, uid: "\(uid)", resourceVersion: "\(version)", labels: ["version": "\(version)"])))
    }

    mutating func put(_ name: String) {
        version += 1
        let uid = objects[name].flatMap { Int($0.meta.uid) } ?? version
        let object = Self.object(name, version: version, uid: uid)
        objects[name] = object
        changes.append(Change(version: version, event: .upsert(ReceivedObject(object))))
    }

    mutating func remove(_ name: String) {
        guard objects.removeValue(forKey: name) != nil else { return }
        version += 1
        let key = ObjectKey(.namespace, name: name)
        changes.append(Change(version: version, event: .delete(key, resourceVersion: "\(version)")))
    }

    /// Forgets how it came to be as it is: older versions are answered with 410. Watches that are open go on.
    mutating func compact() {
        version += 1
        oldest = version
        snapshots = [:]
    }

    mutating func answer(_ request: ListWatchRequest, pageSize: Int) -> Answer {
        guard isInstalled else { return Answer(body: .refusal(APIRefusal(code: 404, message: "404 page not found"))) }
        switch request {
        case .page(let continuation, let isCut): return page(continuation, size: isCut ? pageSize : Int.max)
        case .initialEvents: return initialEvents()
        case .watch(let from):
            let from = Int(from) ?? 0
            if from < oldest {
                let error = APIRefusal(code: 410, message: "too old resource version")
                return Answer(body: .events(pending: [.error(error)], endsAt: 0, follows: version))
            }
            return Answer(body: .events(pending: [], endsAt: nil, follows: from))
        }
    }

    private func initialEvents() -> Answer {
        let existing = objects.values.sorted { $0.key < $1.key }.map { WatchEvent.upsert(ReceivedObject($0)) }
        switch streaming {
        case .known:
            let mark = WatchEvent.bookmark(resourceVersion: "\(version)", endsInitialEvents: true)
            return Answer(body: .events(pending: existing + [mark], endsAt: nil, follows: version))
        case .ignored: return Answer(body: .events(pending: existing, endsAt: nil, follows: version))
        case .refused: return Answer(body: .refusal(APIRefusal(code: 422, message: "sendInitialEvents is forbidden")))
        }
    }

    private mutating func page(_ continuation: String?, size: Int) -> Answer {
        let name = continuation.map { String($0.prefix { $0 != "/" }) } ?? "\(version)"
        let offset = continuation.flatMap { Int($0.drop { $0 != "/" }.dropFirst()) } ?? 0
        if continuation == nil { snapshots[name] = (objects.values.sorted { $0.key < $1.key }, version) }
        guard let snapshot = snapshots[name] else {
            return Answer(body: .refusal(APIRefusal(code: 410, message: "the continue parameter is too old")))
        }
        let rest = snapshot.objects.dropFirst(offset)
        let items = rest.prefix(size)
        let next = items.count < rest.count ? "\(name)/\(offset + items.count)" : nil
        let envelope = ListEnvelope(resourceVersion: "\(snapshot.version)", continuation: next)
        return Answer(body: .page(items.map { ReceivedObject($0) }, envelope))
    }

    /// The events after a version.
    func events(after version: Int) -> [(version: Int, event: WatchEvent)] {
        changes.filter { $0.version > version }.map { ($0.version, $0.event) }
    }
}
