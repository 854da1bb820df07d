/// One requirement of a label selector in Kubernetes' text form, on labels as Hubble writes them: `k8s:app=web`.
struct LabelRequirement: Sendable {
    private enum Demand: Sendable {
        case exists
        case missing
        case among(Set<String>)
        case notAmong(Set<String>)
    }

    private let key: String
    private let demand: Demand

    /// The requirements of a selector, as `app=web,tier in (front, back),!canary`; nil when it is none. An empty one asks for nothing.
    static func parse(_ text: String) -> [LabelRequirement]? {
        if text.allSatisfy({ $0 == " " }) { return [] }
        var requirements: [LabelRequirement] = []
        for part in split(text) {
            guard let requirement = LabelRequirement(part) else { return nil }
            requirements.append(requirement)
        }
        return requirements
    }

    /// Whether labels satisfy it.
    func matches(_ labels: [String]) -> Bool {
        let values = labels.compactMap(value)
        switch demand {
        case .exists: return !values.isEmpty
        case .missing: return values.isEmpty
        case .among(let wanted): return values.contains(where: wanted.contains)
        case .notAmong(let unwanted): return !values.contains(where: unwanted.contains)
        }
    }

    /// The value of a label with this key, `source:key=value` or `source:key`. A key without a source is any source's.
    private func value(_ label: String) -> String? {
        let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = parts[0]
        let bare = name.firstIndex(of: ":").map { name[name.index(after: $0)...] } ?? name
        guard name == key || bare == key else { return nil }
        return parts.count == 2 ? String(parts[1]) : ""
    }

    private init?(_ text: Substring) {
        let text = Self.trimmed(text)
        if text.first == "!" {
            self.init(Self.trimmed(text.dropFirst()), .missing)
        } else if let open = text.firstIndex(of: "("), text.last == ")" {
            let values = text[text.index(after: open)...].dropLast().split(separator: ",").map {
                String(Self.trimmed($0))
            }
            let words = text[..<open].split(separator: " ")
            guard words.count == 2, words[1] == "in" || words[1] == "notin", !values.isEmpty else { return nil }
            self.init(words[0], words[1] == "in" ? .among(Set(values)) : .notAmong(Set(values)))
        } else if let range = text.firstRange(of: "!=") {
            let value = String(Self.trimmed(text[range.upperBound...]))
            self.init(Self.trimmed(text[..<range.lowerBound]), .notAmong([value]))
        } else if let equals = text.firstIndex(of: "=") {
            let rest = text[text.index(after: equals)...]
            let value = Self.trimmed(rest.first == "=" ? rest.dropFirst() : rest)
            self.init(Self.trimmed(text[..<equals]), .among([String(value)]))
        } else {
            self.init(text, .exists)
        }
    }

    private init?(_ key: Substring, _ demand: Demand) {
        guard !key.isEmpty, !key.contains(where: { " ,()=!".contains($0) }) else { return nil }
        self.key = String(key)
        self.demand = demand
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
