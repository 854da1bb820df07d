/// Labels that a filter asks for: a label selector in Kubernetes' text form, as `app=web,tier in (front, back),!canary`.
/// All of its requirements must be met; an empty one asks for nothing.
public struct LabelFilter: Sendable, Hashable, LosslessStringConvertible {
    private enum Demand: Sendable, Hashable {
        case exists
        case missing
        case among(Set<String>)
        case notAmong(Set<String>)
    }

    private struct Requirement: Sendable, Hashable {
        let key: String
        let demand: Demand
    }

    /// The text that it was parsed from.
    public let description: String
    private let requirements: [Requirement]

    /// Parses a selector; nil when the text is none.
    public init?(_ text: String) {
        description = text
        if text.allSatisfy({ $0 == " " }) {
            requirements = []
            return
        }
        let parsed = Self.split(text).map(Self.requirement)
        requirements = parsed.compactMap { $0 }
        if requirements.count < parsed.count { return nil }
    }

    /// Whether labels satisfy it.
    public func matches(_ labels: [String: String]) -> Bool {
        matches { key in labels[key].map { [$0] } ?? [] }
    }

    /// The same for labels of which several may have one key.
    ///
    /// - Parameter values: those of a key.
    public func matches(values: (String) -> [String]) -> Bool {
        requirements.allSatisfy { requirement in
            let found = values(requirement.key)
            switch requirement.demand {
            case .exists: return !found.isEmpty
            case .missing: return found.isEmpty
            case .among(let wanted): return found.contains(where: wanted.contains)
            case .notAmong(let unwanted): return !found.contains(where: unwanted.contains)
            }
        }
    }

    private static func requirement(_ text: Substring) -> Requirement? {
        let text = trimmed(text)
        if text.first == "!" { return requirement(text.dropFirst(), .missing) }
        if let open = text.firstIndex(of: "("), text.last == ")" {
            let values = text[text.index(after: open)...].dropLast().split(separator: ",").map { String(trimmed($0)) }
            let words = text[..<open].split(separator: " ")
            guard words.count == 2, words[1] == "in" || words[1] == "notin", !values.isEmpty else { return nil }
            return requirement(words[0], words[1] == "in" ? .among(Set(values)) : .notAmong(Set(values)))
        }
        if let range = text.firstRange(of: "!=") {
            return requirement(text[..<range.lowerBound], .notAmong([String(trimmed(text[range.upperBound...]))]))
        }
        guard let equals = text.firstIndex(of: "=") else { return requirement(text, .exists) }
        let rest = text[text.index(after: equals)...]
        let value = trimmed(rest.first == "=" ? rest.dropFirst() : rest)
        return requirement(text[..<equals], .among([String(value)]))
    }

    private static func requirement(_ key: Substring, _ demand: Demand) -> Requirement? {
        let key = trimmed(key)
        guard !key.isEmpty, !key.contains(where: { " ,()=!<>".contains($0) }) else { return nil }
        return Requirement(key: String(key), demand: demand)
    }

    /// The parts between commas that are in no parentheses.
    private static func split(_ text: String) -> [Substring] {
        var parts: [Substring] = []
        var depth = 0
        var start = text.startIndex
        for index in text.indices {
            switch text[index] {
            case "(": depth += 1
            case ")": depth -= 1
            case "," where depth == 0:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        return parts + [text[start...]]
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " }
        return start.lastIndex { $0 != " " }.map { start[...$0] } ?? ""
    }
}
