/// A wrong value and the way to it, which is put together while the error travels up: good input pays nothing for it.
struct FieldError: Error {
    enum Step {
        case field(String)
        case key(String)
        case index(Int)
    }

    let message: String
    /// Innermost first.
    private var steps: [Step] = []

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
        return outer
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
