internal import Addressing

/// Readers of single values; each says what it expected.
enum Read {
    static func string(_ value: ManifestValue) throws(FieldError) -> String {
        switch value {
        case .string(let text):
            return text
        case .boolean, .integer, .number:
            throw FieldError("expected a string, got \(value.inWords) (put it in quotes)")
        case .null, .list, .object, .unreadable, .omitted:
            throw .expected("a string", got: value)
        }
    }

    static func nonEmptyString(_ value: ManifestValue) throws(FieldError) -> String {
        let text = try string(value)
        if text.isEmpty { throw .expected("a string that is not empty", got: value) }
        return text
    }

    static func boolean(_ value: ManifestValue) throws(FieldError) -> Bool {
        guard case .boolean(let flag) = value else { throw .expected("true or false", got: value) }
        return flag
    }

    static func integer(
        _ range: ClosedRange<Int64>
    ) -> (ManifestValue) throws(FieldError) -> Int64 {
        { (value) throws(FieldError) in
            guard case .integer(let number) = value, range.contains(number) else {
                throw .expected("an integer from \(range.lowerBound) to \(range.upperBound)", got: value)
            }
            return number
        }
    }

    static func port(_ value: ManifestValue) throws(FieldError) -> Port {
        Port(truncatingIfNeeded: try integer(1...65535)(value))
    }

    /// A port where the API takes 0 for none.
    static func portOrNone(_ value: ManifestValue) throws(FieldError) -> Port? {
        if case .integer(0) = value { return nil }
        return try port(value)
    }

    /// A port number, or a name of the form of RFC 6335 §5.1 in lower case.
    static func portReference(_ value: ManifestValue) throws(FieldError) -> PortReference {
        if case .string(let text) = value, isPortName(text) { return .name(text) }
        if case .integer(let number) = value, (1...65535).contains(number) {
            return .number(Port(truncatingIfNeeded: number))
        }
        if case .string(let text) = value, Port(text) != nil {
            throw FieldError("expected an integer from 1 to 65535 or a port name, got \"\(text)\" (remove the quotes)")
        }
        throw .expected("an integer from 1 to 65535 or a port name", got: value)
    }

    /// The name of a port, where no number may stand.
    static func portName(_ value: ManifestValue) throws(FieldError) -> String {
        guard let text = value.text, isPortName(text) else {
            throw .expected(
                "a port name (1 to 15 lower-case letters, digits or single '-' between them, at least one letter)",
                got: value)
        }
        return text
    }

    private static func isPortName(_ text: String) -> Bool {
        let bytes = text.utf8
        let dash = UInt8(ascii: "-")
        func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        return (1...15).contains(bytes.count) && bytes.contains(where: isLetter)
            && bytes.allSatisfy { isLetter($0) || isDigit($0) || $0 == dash }
            && bytes.first != dash && bytes.last != dash && !text.contains("--")
    }

    static func address(_ value: ManifestValue) throws(FieldError) -> IPAddress {
        guard let address = value.text.flatMap({ StoredAddress.address($0) }) else {
            throw .expected("an IP address", got: value)
        }
        return address
    }

    static func address(of family: IPFamily) -> (ManifestValue) throws(FieldError) -> IPAddress {
        { (value) throws(FieldError) in
            guard let address = value.text.flatMap({ StoredAddress.address($0) }), address.isIPv4 == (family == .ipv4)
            else {
                throw .expected("an \(family.rawValue) address", got: value)
            }
            return address
        }
    }

    static func cidr(_ value: ManifestValue) throws(FieldError) -> CIDR {
        guard let range = value.text.flatMap(StoredAddress.range) else {
            throw .expected("a range of the form ADDRESS/LENGTH", got: value)
        }
        return range
    }

    static func transport(_ value: ManifestValue) throws(FieldError) -> IPProtocol {
        switch value {
        case .string("TCP"): return .tcp
        case .string("UDP"): return .udp
        case .string("SCTP"): return .sctp
        default: throw .expected("TCP, UDP or SCTP", got: value)
        }
    }

    /// One of the names of an enumeration.
    static func name<Name: RawRepresentable<String> & CaseIterable>(
        _ value: ManifestValue
    ) throws(FieldError) -> Name {
        guard let name = value.text.flatMap(Name.init(rawValue:)) else {
            let names = Name.allCases.map(\.rawValue)
            let choices = names.dropLast().joined(separator: ", ")
            throw .expected(choices.isEmpty ? names.joined() : "\(choices) or \(names.last ?? "")", got: value)
        }
        return name
    }
}
