/// Finds all that is wrong with an object, by a decoder that may stop at the first errors: what is wrong is taken out,
/// and the rest decoded again.
///
/// A field that was taken out is missing to its neighbours: what they say about that is no error of the object's author.
struct ErrorCollector {
    /// Decoding starts anew after each one.
    private static let limit = 16

    private(set) var errors: [FieldError] = []
    private var value: ManifestValue
    /// The ways to the objects and lists that lack a field or an entry now.
    private var holed: Set<[FieldError.Step]> = []
    /// The ways to what has been found wrong.
    private var told: Set<[FieldError.Step]> = []

    /// All errors of an object, the first one known already.
    static func errors(
        of object: ManifestObject, first: FieldError, decode: (ManifestValue) throws(FieldError) -> Void
    ) -> [FieldError] {
        var collector = ErrorCollector(value: .object(object))
        var found = first.all
        for _ in 0..<limit {
            for error in found { collector.take(error) }
            guard collector.errors.count < limit, collector.remove(found) else { break }
            do throws(FieldError) {
                try decode(collector.value)
                break
            } catch let next {
                found = next.all
            }
        }
        return Array(collector.errors.prefix(limit))
    }

    private init(value: ManifestValue) { self.value = value }

    private mutating func take(_ error: FieldError) {
        let path = Array(error.steps.reversed())
        let isOfNeighbours = error.isAboutNeighbour || value.at(path) == nil
        let follows = holed.contains(path) || isOfNeighbours && holed.contains(Array(path.dropLast()))
        // What is missing stays so: it is found anew each time.
        if told.insert(path).inserted, !follows { errors.append(error) }
    }

    /// Takes the fields out; where none of them is there, the field or entry that lacks the innermost one, so that what
    /// else it has was looked at before. False when there is none.
    private mutating func remove(_ found: [FieldError]) -> Bool {
        let paths = found.map { Array($0.steps.reversed()) }
        let isThere = paths.filter { !$0.isEmpty && value.at($0).map { !$0.isOmitted } ?? false }
        for path in isThere { takeOut(path) }
        if !isThere.isEmpty { return true }
        guard var path = paths.max(by: { $0.count < $1.count }) else { return false }
        while path.count > 1 {
            path.removeLast()
            guard let holder = value.at(path), !holder.isOmitted else { continue }
            takeOut(path)
            return true
        }
        return false
    }

    private mutating func takeOut(_ path: [FieldError.Step]) {
        // Without an entry of a list the others would be misnamed: something is left in its place.
        value = path.last?.isOfObject == true ? value.removing(path) : value.replacing(path) { _ in .omitted }
        holed.insert(Array(path.dropLast()))
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
