/// One line of a watch.
package enum WatchEvent: Sendable, Hashable {
    /// ADDED or MODIFIED, which mean the same to who may have been away.
    case upsert(ReceivedObject)
    /// DELETED: the key, and the version of the deletion.
    case delete(ObjectKey, resourceVersion: String)
    /// BOOKMARK: everything up to this version has been told; perhaps that a streaming list is complete.
    case bookmark(resourceVersion: String, endsInitialEvents: Bool)
    /// ERROR: the watch ends.
    case error(APIRefusal)
    /// An object without a name.
    case unnamed

    private static let endMark = "k8s.io/initial-events-end"
    /// A quarter to a half of all bytes, and nobody here reads them.
    private static let managedFields = JSONParser.Skipped(name: "managedFields", depth: 2)

    /// Decodes a line; nil for an event of a type that is not known.
    package init?(_ line: ArraySlice<UInt8>, kind: ObjectKind) throws(MalformedBody) {
        var parser = JSONParser(line, skipping: Self.managedFields)
        let value: ManifestValue?
        do throws(JSONParser.Failure) { value = try parser.next() } catch {
            throw MalformedBody("a line of the watch is no JSON: \(error.message)")
        }
        guard case .object(let event) = value, let type = event["type"]?.text, let content = event["object"],
            case .object(let object) = content
        else { throw MalformedBody("a line of the watch is no event") }
        switch type {
        case "ADDED", "MODIFIED": self = ReceivedObject(content, kind: kind).map(WatchEvent.upsert) ?? .unnamed
        case "DELETED":
            self = ReceivedObject.identity(of: object, kind: kind).map { .delete($0, resourceVersion: $1) } ?? .unnamed
        case "BOOKMARK": self = Self.bookmark(object)
        case "ERROR": self = .error(APIRefusal(object, code: 500))
        default: return nil
        }
    }

    /// A bookmark's object is of the watched kind, but has nothing that the kind requires.
    private static func bookmark(_ object: ManifestObject) -> WatchEvent {
        guard case .object(let meta) = object["metadata"], let version = meta["resourceVersion"]?.text else {
            return .unnamed
        }
        var isEnd = false
        if case .object(let annotations) = meta["annotations"] { isEnd = annotations[endMark]?.text == "true" }
        return .bookmark(resourceVersion: version, endsInitialEvents: isEnd)
    }
}

/// What surrounds the items of a list.
package struct ListEnvelope: Sendable, Hashable {
    /// The version that all pages of the list are of, and that a watch goes on from.
    package var resourceVersion: String
    /// What to ask for the next page with; nil on the last one.
    package var continuation: String?

    package init(resourceVersion: String, continuation: String? = nil) {
        self.resourceVersion = resourceVersion
        self.continuation = continuation
    }

    /// Decodes what a `ListScanner` has left at the end of a body.
    package init(_ envelope: [UInt8]) throws(MalformedBody) {
        var parser = JSONParser(envelope[...])
        guard case .object(let list) = try? parser.next(), case .object(let meta) = list["metadata"],
            let version = meta["resourceVersion"]?.text
        else { throw MalformedBody("the answer is no list, or was cut off") }
        // An empty token means none, as custom resources have it.
        let token = meta["continue"]?.text ?? ""
        self.init(resourceVersion: version, continuation: token.isEmpty ? nil : token)
    }
}

extension ReceivedObject {
    /// Decodes an item of a list; nil when not even its name is there.
    package init?(item: [UInt8], kind: ObjectKind) throws(MalformedBody) {
        var parser = JSONParser(item[...], skipping: JSONParser.Skipped(name: "managedFields", depth: 1))
        do throws(JSONParser.Failure) {
            guard let value = try parser.next() else { return nil }
            self.init(value, kind: kind)
        } catch { throw MalformedBody("an item of the list is no JSON: \(error.message)") }
    }
}
