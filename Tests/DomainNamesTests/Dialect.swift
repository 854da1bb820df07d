internal import DomainNames

/// The fields in which policies write names.
enum Dialect: CaseIterable, Sendable {
    case name
    case pattern
    case cluster

    func pattern(_ text: String) throws(DomainPatternError) -> DomainPattern {
        switch self {
        case .name: try DomainPattern(fqdnName: text)
        case .pattern: try DomainPattern(fqdnPattern: text)
        case .cluster: try DomainPattern(clusterDomain: text)
        }
    }
}

/// What the texts of the two interfaces say, word by word, with nothing compiled: the other side of the comparison.
enum NaiveMatcher {
    static func matches(_ dialect: Dialect, _ text: String, _ name: String) -> Bool {
        let (pattern, name) = (plain(text), plain(name))
        switch dialect {
        case .name: return pattern == name
        case .pattern: return pattern.elementsEqual("*".utf8) || glob(pattern[...], name[...])
        case .cluster:
            guard pattern.starts(with: "*.".utf8) else { return pattern == name }
            let suffix = pattern.dropFirst()
            return name.count > suffix.count && name.suffix(suffix.count) == suffix
        }
    }

    private static func plain(_ text: String) -> [UInt8] {
        Array((text.hasSuffix(".") ? String(text.dropLast()) : text).lowercased().utf8)
    }

    private static func glob(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        guard let wanted = pattern.first else { return name.isEmpty }
        if wanted == UInt8(ascii: "*") {
            if glob(pattern.dropFirst(), name) { return true }
            guard let head = name.first, head != UInt8(ascii: ".") else { return false }
            return glob(pattern, name.dropFirst())
        }
        return name.first == wanted && glob(pattern.dropFirst(), name.dropFirst())
    }
}
