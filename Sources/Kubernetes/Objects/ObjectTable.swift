/// Values by the keys of objects.
///
/// The names stand under their kinds and namespaces: a large cluster has many objects, and a dictionary room for up to
/// twice as many, in which a whole key would take twice as much as a name.
package struct ObjectTable<Value: Sendable>: Sendable {
    private struct Place: Hashable {
        let kind: ObjectKind
        let namespace: String

        init(_ key: ObjectKey) { (kind, namespace) = (key.kind, key.namespace) }
    }

    private var places: [Place: [String: Value]] = [:]

    /// An empty table.
    package init() {}

    package subscript(key: ObjectKey) -> Value? {
        get { places[Place(key)]?[key.name] }
        set { _ = if let newValue { updateValue(newValue, forKey: key) } else { removeValue(forKey: key) } }
    }

    /// Sets a value; returns the former one.
    @discardableResult
    package mutating func updateValue(_ value: Value, forKey key: ObjectKey) -> Value? {
        places[Place(key), default: [:]].updateValue(value, forKey: key.name)
    }

    /// Removes a value and returns it.
    @discardableResult
    package mutating func removeValue(forKey key: ObjectKey) -> Value? {
        let place = Place(key)
        let old = places[place]?.removeValue(forKey: key.name)
        if places[place]?.isEmpty == true { places[place] = nil }
        return old
    }

    package func contains(_ key: ObjectKey) -> Bool { places[Place(key)]?[key.name] != nil }

    package var isEmpty: Bool { places.isEmpty }

    package var keys: some Sequence<ObjectKey> {
        places.lazy.flatMap { place, values in
            values.keys.lazy.map { ObjectKey(place.kind, namespace: place.namespace, name: $0) }
        }
    }
}
