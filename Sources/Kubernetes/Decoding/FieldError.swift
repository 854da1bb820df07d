/// A wrong value and the way to it, which is put together while the error travels up: good input pays nothing for it.
struct FieldError: Error {
    enum Step: Hashable {
        case field(String)
        case key(String)
        case index(Int)
    }

    let message: String
    /// Whether a field that is not known is all that is wrong.
    var isUnknownField = false
    /// Whether the field is wrong only beside what another field of the object says.
    var isAboutNeighbour = false
    /// Innermost first.
    private(set) var steps: [Step] = []
    /// What else is wrong, in fields that don't depend on this one.
    private(set) var others: [FieldError] = []

    init(_ message: String) {
        self.message = message
    }

    static func expected(_ what: String, got value: ManifestValue) -> FieldError {
        FieldError("expected \(what), got \(value.inWords)")
    }

    /// The same error seen from one level further out.
    func inside(_ step: Step) -> FieldError {
        var outer = self
        outer.steps.append(step)
        if !others.isEmpty { outer.others = others.map { $0.inside(step) } }
        return outer
    }

    /// More than anybody reads are not gathered.
    static let mostGathered = 16

    /// The error, and what else is wrong, as one.
    func and(_ other: FieldError) -> FieldError {
        var both = self
        both.others = Array((both.others + other.all).prefix(Self.mostGathered - 1))
        return both
    }

    /// The error and the others, each by itself.
    var all: [FieldError] {
        var first = self
        first.others = []
        return [first] + others
    }

    /// The way from the object's root, for example `spec.ports[0].port`; nil for the root itself.
    var path: String? {
        if steps.isEmpty { return nil }
        return steps.reversed().reduce(into: "") { path, step in
            switch step {
            case .field(let name): path += path.isEmpty ? name : ".\(name)"
            case .key(let name): path += "[\"\(name)\"]"
            case .index(let index): path += "[\(index)]"
            }
        }
    }
}

extension FieldError {
    /// The field whichever object and entries of lists it is in, for example `Service spec.ports.prot`.
    func field(of kind: ObjectKind) -> String {
        let names = steps.reversed().compactMap { if case .field(let name) = $0 { name } else { nil } }
        return "\(kind.rawValue) \(names.joined(separator: "."))"
    }

    /// The value without the field that the error is about.
    func removingField(from value: ManifestValue) -> ManifestValue { value.removing(steps.reversed()) }
}

extension ManifestValue {
    /// The value without the field at the end of the way, outermost step first.
    func removing(_ steps: [FieldError.Step]) -> ManifestValue { removing(steps[...]) }

    private func removing(_ steps: ArraySlice<FieldError.Step>) -> ManifestValue {
        guard let step = steps.first else { return self }
        let isLast = steps.count == 1
        switch (self, step) {
        case (.object(let object), .field(let name)), (.object(let object), .key(let name)):
            var members = object.members
            if isLast { members.removeAll { $0.name == name } }
            members = members.map {
                $0.name == name ? .init(name: name, value: $0.value.removing(steps.dropFirst())) : $0
            }
            return .object(ManifestObject(members: members))
        case (.list(var entries), .index(let index)) where entries.indices.contains(index) && !isLast:
            entries[index] = entries[index].removing(steps.dropFirst())
            return .list(entries)
        default:
            return self
        }
    }
}
