import ArgumentParser

/// Some of the cases of an enum, named on the command line and separated by commas.
struct Choice<Value: RawRepresentable & CaseIterable & Sendable>: ExpressibleByArgument, Sendable
where Value.RawValue == String {
    var values: [Value]

    static var all: Choice { Choice(values: Array(Value.allCases)) }

    static func help(_ what: String) -> ArgumentHelp {
        ArgumentHelp("\(what), separated by commas, of: \(Value.allCases.map(\.rawValue).joined(separator: ", ")).")
    }

    init(values: [Value]) { self.values = values }

    init?(argument: String) {
        let named = argument.split(separator: ",").map { Value(rawValue: String($0)) }
        guard !named.contains(where: { $0 == nil }), !named.isEmpty else { return nil }
        values = named.compactMap { $0 }
    }

    var defaultValueDescription: String { "all" }
}
