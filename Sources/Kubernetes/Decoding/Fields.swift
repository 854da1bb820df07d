/// Reads the fields of one object, and names the field in every error.
struct Fields {
    typealias Reader<T> = (ManifestValue) throws(FieldError) -> T

    let object: ManifestObject

    init(_ object: ManifestObject) {
        self.object = object
    }

    init(_ value: ManifestValue) throws(FieldError) {
        guard case .object(let object) = value else { throw .expected("an object", got: value) }
        self.object = object
    }

    /// The field, nil when it is missing or null.
    func optional<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> T? {
        guard let value = object[name], !value.isNull else { return nil }
        do throws(FieldError) { return try read(value) } catch { throw error.inside(.field(name)) }
    }

    /// The field, an error when it is missing or null.
    func required<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> T {
        guard let value = try optional(name, read) else { throw FieldError("required").inside(.field(name)) }
        return value
    }

    /// The entries of a list, nil when it is missing or null.
    func optionalList<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> [T]? {
        try optional(name) { (value) throws(FieldError) in
            guard case .list(let entries) = value else { throw .expected("a list", got: value) }
            var result: [T] = []
            var errors = GatheredErrors()
            result.reserveCapacity(entries.count)
            for (index, entry) in entries.enumerated() where !entry.isOmitted {
                let value = errors.attempt { () throws(FieldError) in
                    do throws(FieldError) { return try read(entry) } catch { throw error.inside(.index(index)) }
                }
                if let value { result.append(value) }
            }
            guard errors.isEmpty else { throw errors.error }
            return result
        }
    }

    /// As `optionalList`, without the entries that stand for what can't be read.
    func readableList<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> [T]? {
        let entries: [T?]? = try optionalList(name) { (value) throws(FieldError) in
            value.isUnreadable ? nil : try read(value)
        }
        return entries?.compactMap { $0 }
    }

    /// Whether a list has entries that can't be read.
    func hasUnreadable(_ name: String) -> Bool {
        guard case .list(let entries) = object[name] else { return false }
        return entries.contains(where: \.isUnreadable)
    }

    /// The entries of a list, none when it is missing or null.
    func list<T>(_ name: String, _ read: Reader<T>) throws(FieldError) -> [T] {
        try optionalList(name, read) ?? []
    }

    /// A map from strings to strings, empty when it is missing; a null value is an empty string, as in the API.
    func strings(_ name: String, except ignored: String? = nil) throws(FieldError) -> [String: String] {
        let entries = try optional(name) { (value) throws(FieldError) in
            var result: [String: String] = [:]
            for member in try Fields(value).object.members where member.name != ignored {
                do throws(FieldError) {
                    result[member.name] = member.value.isNull ? "" : try Read.string(member.value)
                } catch { throw error.inside(.key(member.name)) }
            }
            return result
        }
        return entries ?? [:]
    }

    /// The fields of an object one level down, none when it is missing or null.
    func fields(_ name: String) throws(FieldError) -> Fields {
        try optional(name, Fields.init) ?? Fields(ManifestObject())
    }

    /// What `read` makes of the object one level down, which counts as empty when it is missing or null.
    func within<T>(_ name: String, _ read: (Fields) throws(FieldError) -> T) throws(FieldError) -> T {
        let inner = try fields(name)
        do throws(FieldError) { return try read(inner) } catch { throw error.inside(.field(name)) }
    }

    /// Refuses a field that is none of these, whatever its value: without an API server to refuse it, a misspelt one is
    /// as good as missing, and a missing one may allow more.
    func refuseOthers(than known: [String]) throws(FieldError) {
        guard let unknown = object.members.first(where: { !known.contains($0.name) }) else { return }
        var error = FieldError("is not known")
        error.isUnknownField = true
        throw error.inside(.field(unknown.name))
    }

    /// Refuses none and several of fields that exclude each other, and any that is none of them: a newer version of the
    /// kind may say there what must not be overlooked.
    func requireOne(of names: [String]) throws(FieldError) {
        try refuseOthers(than: names)
        guard object.members.count(where: { !$0.value.isNull }) == 1 else {
            throw FieldError("expected exactly one of \(names.joined(separator: ", "))")
        }
    }
}
