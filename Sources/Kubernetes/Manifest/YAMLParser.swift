internal import Yams

/// A parser of one YAML document.
enum YAMLParser {
    /// What is wrong, and the line and column where, counted from 1; nil where the parser does not say.
    struct Failure: Error {
        let message: String
        let line: Int?
        let column: Int?
    }

    /// The document's value, nil when it is empty.
    static func parse(_ bytes: ArraySlice<UInt8>) throws(Failure) -> ManifestValue? {
        // Yams keeps a pointer to the text, which Swift moves about when the text is shorter than 16 bytes.
        let padding = bytes.count < 32 ? String(repeating: "\n", count: 32) : ""
        let node: Yams.Node?
        do {
            let parser = try Parser(yaml: String(decoding: bytes, as: UTF8.self) + padding, encoding: .utf8)
            node = try parser.singleRoot()
        } catch {
            throw Failure(error, lastLine: lastLine(bytes))
        }
        guard let node else { return nil }
        var converter = YAMLConverter(budget: bytes.count * 2 + 100_000)
        return try converter.value(node)
    }

    /// The last line that is not empty, counted from 1.
    private static func lastLine(_ bytes: ArraySlice<UInt8>) -> Int {
        let isSpace = { (byte: UInt8) in [0x20, 0x09, 0x0a, 0x0d].contains(byte) }
        let text = bytes[..<((bytes.lastIndex { !isSpace($0) } ?? bytes.startIndex - 1) + 1)]
        return 1 + text.count { $0 == UInt8(ascii: "\n") }
    }
}

extension YAMLParser.Failure {
    /// - Parameter lastLine: of a text that ends too early, the parser names a line behind its end.
    fileprivate init(_ error: any Error, lastLine: Int) {
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let prefix = context.map { "\($0.text): " } ?? ""
            let isInside = mark.line <= lastLine
            self.init(
                message: prefix + problem + (isInside ? "" : " (the text ends here)"), line: min(mark.line, lastLine),
                column: isInside ? mark.column : nil)
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
            self.init(message: "key \(names) is there twice", line: context.mark.line, column: context.mark.column)
        case .reader(let problem, _, _, _):
            self.init(message: problem, line: nil, column: nil)
        default:
            self.init(message: "\(error)", line: nil, column: nil)
        }
    }
}

/// Turns the parser's nodes into values.
private struct YAMLConverter {
    /// How many more values may come out: aliases of aliases grow without bound from a small text.
    var budget: Int

    mutating func value(_ node: Yams.Node) throws(YAMLParser.Failure) -> ManifestValue {
        budget -= 1
        if budget < 0 { throw failure("the aliases unfold to too many values", at: node) }
        switch node {
        case .scalar(let scalar):
            return scalarValue(scalar)
        case .sequence(let sequence):
            var entries: [ManifestValue] = []
            entries.reserveCapacity(sequence.count)
            for entry in sequence { entries.append(try value(entry)) }
            return .list(entries)
        case .mapping(let mapping):
            return .object(try object(mapping))
        case .alias:
            throw failure("unknown alias", at: node)
        }
    }

    private func failure(_ message: String, at node: Yams.Node) -> YAMLParser.Failure {
        YAMLParser.Failure(message: message, line: node.mark?.line, column: node.mark?.column)
    }

    private func scalarValue(_ scalar: Yams.Node.Scalar) -> ManifestValue {
        switch scalar.tag.rawValue {
        case "": scalar.style == .plain ? YAMLScalar.plain(scalar.string) : .string(scalar.string)
        case "!", "tag:yaml.org,2002:str": .string(scalar.string)
        default: YAMLScalar.plain(scalar.string)
        }
    }

    private mutating func object(_ mapping: Yams.Node.Mapping) throws(YAMLParser.Failure) -> ManifestObject {
        var own = ManifestObject()
        var merged: [ManifestObject.Member] = []
        for (key, node) in mapping {
            guard case .scalar(let name) = key else { throw failure("a key must be a string", at: key) }
            if name.string == "<<", name.style == .plain {
                merged += try mergedMembers(node)
            } else {
                own.members.append(.init(name: name.string, value: try value(node)))
            }
        }
        // Merged members come first, so that the object's own win.
        own.members.insert(contentsOf: merged, at: 0)
        return own
    }

    /// The members of the objects behind a merge key; of several, the first one wins.
    private mutating func mergedMembers(_ node: Yams.Node) throws(YAMLParser.Failure) -> [ManifestObject.Member] {
        switch try value(node) {
        case .object(let object):
            return object.members
        case .list(let entries):
            var members: [ManifestObject.Member] = []
            for entry in entries.reversed() {
                guard case .object(let object) = entry else { throw failure("<< takes objects only", at: node) }
                members += object.members
            }
            return members
        default:
            throw failure("<< takes objects only", at: node)
        }
    }
}
