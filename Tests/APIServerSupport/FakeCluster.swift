internal import Foundation

/// What a small API server holds: objects as JSON, and the changes that watches can still be told.
///
/// It knows no kinds: a resource is the path of its list, as `/api/v1/pods`.
public actor FakeCluster {
    struct Object: Sendable {
        let resource: String
        let key: String
        let version: Int
        let json: String
    }

    struct Change: Sendable {
        let version: Int
        let resource: String
        let type: String
        let json: String
    }

    public private(set) var version: Int
    /// Watches from before this version are answered with 410.
    private(set) var oldest: Int
    /// The version of the last change that is forgotten: a watch that has not told it can't go on.
    private var lastForgotten = 0
    private var objects: [String: Object] = [:]
    private var changes: [Change] = []
    private var listeners: [Int: AsyncStream<Void>.Continuation] = [:]
    private var lastListener = 0

    /// The resources that the server has; a path that is not among them is answered with 404.
    public var resources: Set<String>
    /// Whether it has streaming lists.
    public var hasStreamingLists = true
    /// What the next requests are answered with in place of what they ask for.
    var faults: [Fault] = []
    /// How many requests there have been.
    public internal(set) var requests: [HTTPRequest] = []
    /// How often watches have been told to break off.
    private(set) var cuts = 0

    /// An answer that a server gives on a bad day.
    public enum Fault: Sendable {
        case status(Int, body: String, type: String, headers: [String])
        case cutInMidLine
        case silence
    }

    /// A server whose versions begin where no earlier server's end: as after a restart, all older ones are refused.
    public init(resources: Set<String>, firstVersion: Int = 1000) {
        self.resources = resources
        version = firstVersion
        oldest = firstVersion
    }

    /// Makes or replaces an object; its JSON needs `metadata.name`, and a version is put in.
    public func put(_ resource: String, _ json: String) throws {
        guard var object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any],
            var meta = object["metadata"] as? [String: Any], let name = meta["name"] as? String
        else { throw CocoaError(.propertyListReadCorrupt) }
        version += 1
        meta["resourceVersion"] = "\(version)"
        let key = "\(resource) \(meta["namespace"] as? String ?? "")/\(name)"
        meta["uid"] = meta["uid"] ?? "uid-\(key)"
        meta["managedFields"] = [["manager": "test", "fieldsV1": ["f:metadata": ["}]\"": [:]]]]]
        object["metadata"] = meta
        let text = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        let type = objects[key] == nil ? "ADDED" : "MODIFIED"
        objects[key] = Object(resource: resource, key: key, version: version, json: text)
        changed(Change(version: version, resource: resource, type: type, json: text))
    }

    /// An object's JSON; nil where there is none.
    public func json(_ resource: String, namespace: String = "", name: String) -> String? {
        objects["\(resource) \(namespace)/\(name)"]?.json
    }

    /// Deletes an object.
    public func remove(_ resource: String, namespace: String = "", name: String) {
        guard let object = objects.removeValue(forKey: "\(resource) \(namespace)/\(name)") else { return }
        version += 1
        let json = object.json.replacing(
            "\"resourceVersion\":\"\(object.version)\"", with: "\"resourceVersion\":\"\(version)\"")
        changed(Change(version: version, resource: resource, type: "DELETED", json: json))
    }

    /// Forgets its changes: watches from older versions get 410.
    public func expire() {
        version += 1
        oldest = version
        lastForgotten = changes.last?.version ?? lastForgotten
        changes = []
    }

    /// Ends all watches in the middle of a line.
    public func cutWatches() {
        cuts += 1
        wake()
    }

    /// Installs or removes a resource.
    public func install(_ resource: String, _ isThere: Bool) {
        if isThere { resources.insert(resource) } else { resources.remove(resource) }
        wake()
    }

    public func setStreamingLists(_ isThere: Bool) { hasStreamingLists = isThere }

    /// Answers the next requests with faults, one each.
    public func fail(next faults: [Fault]) { self.faults += faults }

    private func changed(_ change: Change) {
        changes.append(change)
        wake()
    }

    private func wake() { for listener in listeners.values { listener.yield() } }

    /// The objects of a resource, and the version of which they are the state.
    func list(_ resource: String) -> (objects: [Object], version: Int) {
        (objects.values.filter { $0.resource == resource }.sorted { $0.key < $1.key }, version)
    }

    /// The changes after a version; nil where some of them are forgotten.
    func changes(of resource: String, after version: Int) -> [Change]? {
        if version < lastForgotten { return nil }
        return changes.filter { $0.resource == resource && $0.version > version }
    }

    func takeFault() -> Fault? { faults.isEmpty ? nil : faults.removeFirst() }

    func note(_ request: HTTPRequest) { requests.append(request) }

    /// Speaks up when something may have changed, and at these times from now on, the earliest first.
    func signals(at times: [Duration]) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        lastListener += 1
        let number = lastListener
        listeners[number] = continuation
        let start = ContinuousClock.now
        let clock = Task {
            for time in times {
                try await Task.sleep(until: start + time, clock: .continuous)
                continuation.yield()
            }
        }
        continuation.onTermination = { [weak self] _ in
            clock.cancel()
            Task { await self?.forget(number) }
        }
        return stream
    }

    private func forget(_ number: Int) { listeners[number] = nil }
}
