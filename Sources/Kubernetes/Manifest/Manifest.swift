/// What one file or one answer of an API server holds: YAML or JSON, of one or more documents, lists opened up.
public struct Manifest: Sendable {
    /// The good objects in the order of the text; each key once.
    public private(set) var objects: [KubernetesObject] = []
    /// What is wrong with the rest.
    public private(set) var diagnostics: [SourceDiagnostic] = []
    /// The objects that are there but can't be used.
    private(set) var brokenKeys: Set<ObjectKey> = []
    /// Whether some part can't be attributed to an object, so that any object may have been meant.
    private(set) var hasUnknownParts = false

    private let source: String
    private var documentOfKey: [ObjectKey: Int] = [:]

    /// The document that a good object stands in, counted from 1.
    public func document(of key: ObjectKey) -> Int? { documentOfKey[key] }

    /// Decodes a text.
    /// - Parameters:
    ///   - source: its name in diagnostics.
    ///   - bytes: the text in UTF-8, with or without a byte order mark.
    public init(source: String, bytes: [UInt8]) {
        self.source = source
        let text = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes[...]
        guard text.withUnsafeBufferPointer({ String(validating: $0, as: UTF8.self) }) != nil else {
            reject("not valid UTF-8", document: nil)
            return
        }
        var earlierValues = 0
        for document in DocumentSplitter.split(text) {
            let number = document.number + earlierValues
            earlierValues += max(0, add(document, number: number) - 1)
        }
    }

    /// Adds the values of a document, and returns how many there were: kubectl takes JSON values without separators.
    private mutating func add(_ document: DocumentText, number: Int) -> Int {
        guard let text = document.json else {
            addYAML(document, number: number)
            return 1
        }
        var values: [ManifestValue] = []
        var failure: JSONParser.Failure?
        var parser = JSONParser(text)
        do throws(JSONParser.Failure) {
            while let value = try parser.next() { values.append(value) }
        } catch {
            failure = error
        }
        if failure != nil, !source.hasSuffix(".json") {
            // YAML may start with a brace too.
            addYAML(document, number: number)
            return 1
        }
        for (index, value) in values.enumerated() { add(document: value, number: number + index) }
        guard let failure else { return values.count }
        let line = document.firstLine + document.bytes[..<failure.offset].count { $0 == UInt8(ascii: "\n") }
        reject("line \(line): \(failure.message)", document: number + values.count)
        return values.count + 1
    }

    private mutating func addYAML(_ document: DocumentText, number: Int) {
        do throws(YAMLParser.Failure) {
            if let value = try YAMLParser.parse(document.bytes) { add(document: value, number: number) }
        } catch {
            let line = error.line.map { "line \(document.firstLine + $0 - 1): " } ?? ""
            reject(line + error.message, document: number)
        }
    }

    private mutating func add(document value: ManifestValue, number: Int) {
        switch value {
        case .null: return
        case .object(let object): addObject(object, at: Place(document: number))
        default: reject("expected an object, got \(value.inWords)", document: number)
        }
    }

    private mutating func reject(_ message: String, document: Int?) {
        hasUnknownParts = true
        diagnostics.append(SourceDiagnostic(.syntax, source: source, document: document, message: message))
    }
}

/// Where an object stands, and what a list around it says of it.
private struct Place {
    var document: Int
    var item: Int?
    var kind: String?
    var apiVersion: String?
}

extension Manifest {
    private mutating func addObject(_ object: ManifestObject, at place: Place) {
        let fields = Fields(object)
        let header: (kind: String, apiVersion: String)
        do throws(FieldError) {
            header.kind = try fields.header("kind", else: place.kind)
            header.apiVersion = try fields.header("apiVersion", else: place.apiVersion)
        } catch {
            hasUnknownParts = true
            return add(error, kind: nil, of: object, at: place)
        }
        if let kind = ObjectKind(header.kind, apiVersion: header.apiVersion) {
            add(fields, kind: kind, at: place)
        } else if header.kind.hasSuffix("List"), object["items"] != nil || header.kind == "List" {
            addItems(fields, of: header, at: place)
        } else {
            addUnread(object, header, at: place)
        }
    }

    private mutating func add(_ fields: Fields, kind: ObjectKind, at place: Place) {
        let object: KubernetesObject
        do throws(FieldError) {
            object = try KubernetesObject(fields, kind: kind)
        } catch {
            if let rest = closeAudit(error, of: fields.object, kind, at: place) {
                return add(Fields(rest), kind: kind, at: place)
            }
            let errors = ErrorCollector.errors(of: fields.object, first: error) { (value) throws(FieldError) in
                _ = try KubernetesObject(try Fields(value), kind: kind)
            }
            for error in errors { add(error, kind: kind, of: fields.object, at: place) }
            return
        }
        if let first = documentOfKey.updateValue(place.document, forKey: object.key) {
            documentOfKey[object.key] = first
            diagnostics.append(
                SourceDiagnostic(
                    .duplicate, source: source, document: place.document, key: object.key,
                    message: "ignored, document \(first) has it already"))
        } else {
            objects.append(object)
            addUnknownFields(of: fields.object, kind, object.key, at: place)
        }
    }

    /// A Namespace without the annotation for audit mode that its error is about; nil: it is about something else.
    ///
    /// Without the Namespace nothing would have its labels, and what a policy denies by them it would deny nobody.
    private mutating func closeAudit(
        _ error: FieldError, of object: ManifestObject, _ kind: ObjectKind, at place: Place
    ) -> ManifestObject? {
        guard kind == .namespace, let closed = PolicyClosing(kind).close(error, in: .object(object)),
            case .object(let rest) = closed.value
        else { return nil }
        diagnostics.append(
            SourceDiagnostic(
                .closedPart, source: source, document: place.document, key: ObjectKey(kind: kind, of: object),
                fieldPath: error.path, message: "\(error.message): \(closed.consequence)"))
        return rest
    }

    private mutating func addUnknownFields(
        of object: ManifestObject, _ kind: ObjectKind, _ key: ObjectKey, at place: Place
    ) {
        for error in KnownFields.of(kind).unknown(in: .object(object)) {
            diagnostics.append(
                SourceDiagnostic(
                    .ignoredField, source: source, document: place.document, key: key, subject: error.field(of: kind),
                    fieldPath: error.path, message: error.message))
        }
    }

    private mutating func addItems(
        _ fields: Fields, of header: (kind: String, apiVersion: String), at place: Place
    ) {
        let items: [ManifestValue]
        do throws(FieldError) {
            items = try fields.list("items") { (item) throws(FieldError) in item }
        } catch {
            hasUnknownParts = true
            return add(error, kind: nil, of: ManifestObject(), at: place)
        }
        let isTyped = header.kind != "List"
        for (index, item) in items.enumerated() {
            var inner = Place(document: place.document, item: index)
            if isTyped { (inner.kind, inner.apiVersion) = (String(header.kind.dropLast(4)), header.apiVersion) }
            if case .object(let object) = item {
                addObject(object, at: inner)
            } else {
                hasUnknownParts = true
                add(.expected("an object", got: item), kind: nil, of: ManifestObject(), at: inner)
            }
        }
    }

    /// A kind that is not read; one of ours in a version that is not is taken for a mistake.
    private mutating func addUnread(
        _ object: ManifestObject, _ header: (kind: String, apiVersion: String), at place: Place
    ) {
        let group = header.apiVersion.split(separator: "/").dropLast().first
        if let kind = ObjectKind(rawValue: header.kind), group == nil || kind.apiVersion.hasPrefix("\(group ?? "")/") {
            let error = FieldError("expected \(kind.apiVersion), got \"\(header.apiVersion)\"")
            return add(error.inside(.field("apiVersion")), kind: kind, of: object, at: place)
        }
        if let meant = ObjectKind.meant(by: header.kind, apiVersion: header.apiVersion) {
            let error = FieldError("is no kind of \(header.apiVersion): \(meant.rawValue) may be meant")
            return add(error.inside(.field("kind")), kind: meant, of: object, at: place)
        }
        diagnostics.append(
            SourceDiagnostic(
                .ignoredKind, source: source, document: place.document,
                subject: "\(header.kind) (\(header.apiVersion))", message: "ignored, Apus does not read this kind"))
    }

    private mutating func add(_ error: FieldError, kind: ObjectKind?, of object: ManifestObject, at place: Place) {
        let key = kind.flatMap { ObjectKey(kind: $0, of: object) }
        if let key { brokenKeys.insert(key) } else { hasUnknownParts = true }
        var path = error.path
        if key == nil, let item = place.item {
            path = ["items[\(item)]", path].compactMap { $0 }.joined(separator: ".")
        }
        diagnostics.append(
            SourceDiagnostic(
                .invalidObject, source: source, document: place.document, key: key,
                subject: kind?.rawValue ?? object["kind"]?.text, fieldPath: path, message: error.message))
    }
}

extension ObjectKey {
    /// The key of an object that may be wrong in any other way, nil when its name is what is wrong.
    fileprivate init?(kind: ObjectKind, of object: ManifestObject) {
        guard case .object(let meta) = object["metadata"], let name = meta["name"]?.text, !name.isEmpty else {
            return nil
        }
        let namespace = meta["namespace"]?.text ?? ""
        self.init(kind, namespace: !kind.isNamespaced ? "" : namespace.isEmpty ? "default" : namespace, name: name)
    }
}

extension DocumentText {
    /// The text after a `---`, if it starts as a JSON object does; nil otherwise.
    fileprivate var json: ArraySlice<UInt8>? {
        var cursor = ByteCursor(bytes)
        _ = cursor.take("---")
        cursor.skipSpace()
        return cursor.peek == UInt8(ascii: "{") ? bytes[cursor.offset...] : nil
    }
}

extension Fields {
    /// A field that says what the object is; a typed list says it for its items.
    fileprivate func header(_ name: String, else listed: String?) throws(FieldError) -> String {
        if let written = try optional(name, Read.nonEmptyString) { return written }
        if let listed { return listed }
        return try required(name, Read.string)
    }
}
