/// Finds all that is wrong with an object, by a decoder that stops at the first error: what is wrong is taken out, and
/// the rest decoded again.
///
/// A field that was taken out is missing to its neighbours: what they say about that is no error of the object's author.
struct ErrorCollector {
    /// Decoding starts anew after each one.
    private static let limit = 16

    private(set) var errors: [FieldError] = []
    private var value: ManifestValue
    /// The ways to the objects and lists that lack a field or an entry now.
    private var holed: Set<[FieldError.Step]> = []

    /// All errors of an object, the first one known already.
    static func errors(
        of object: ManifestObject, first: FieldError, decode: (ManifestValue) throws(FieldError) -> Void
    ) -> [FieldError] {
        var collector = ErrorCollector(value: .object(object))
        var error = first
        for _ in 0..<limit {
            collector.take(error)
            guard collector.remove(error) else { break }
            do throws(FieldError) {
                try decode(collector.value)
                break
            } catch let next {
                error = next
            }
        }
        return collector.errors
    }

    private init(value: ManifestValue) { self.value = value }

    private mutating func take(_ error: FieldError) {
        let path = Array(error.steps.reversed())
        let isOfNeighbours = error.isAboutNeighbour || value.at(path) == nil
        let follows = holed.contains(path) || isOfNeighbours && holed.contains(Array(path.dropLast()))
        if !follows { errors.append(error) }
    }

    /// Takes the field out, or the field or entry that holds what is in no field of its own; false when there is none.
    private mutating func remove(_ error: FieldError) -> Bool {
        var path = Array(error.steps.reversed())
        while !path.isEmpty {
            if value.at(path) != nil {
                // Without an entry of a list the others would be misnamed: something is left in its place.
                value = path.last?.isOfObject == true ? value.removing(path) : value.replacing(path) { _ in .omitted }
                holed.insert(Array(path.dropLast()))
                return true
            }
            path.removeLast()
        }
        return false
    }
}

extension FieldError.Step {
    /// Whether it leads to a field, and to no entry of a list.
    fileprivate var isOfObject: Bool {
        if case .index = self { false } else { true }
    }
}

extension ManifestValue {
    /// What is at the end of a way; nil when there is nothing.
    func at(_ path: [FieldError.Step]) -> ManifestValue? {
        var value = self
        for step in path {
            switch (value, step) {
            case (.object(let object), .field(let name)), (.object(let object), .key(let name)):
                guard let next = object[name] else { return nil }
                value = next
            case (.list(let entries), .index(let index)) where entries.indices.contains(index):
                value = entries[index]
            default: return nil
            }
        }
        return value
    }
}
