internal import Addressing
internal import Flows

/// Why a question can't be understood, as a sentence that names the field.
struct WebQueryError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ field: String, _ reason: String) { description = "\(field): \(reason)" }
}

/// Which flows a browser asks for; every field may be there several times, `text` but once.
struct FlowRequest: Equatable {
    /// Fields and their bytes in one question.
    private static let maximumFields = 64
    private static let maximumText = 256

    var cursor: FlowCursor?
    /// How long to wait where no flow is there yet.
    var wait: Duration = .zero
    var filter = FlowFilter()
    /// What the line of a flow has to have in it, in lower case.
    var text: String?

    /// Parses the query of a URL.
    init(_ query: String) throws(WebQueryError) {
        let fields = query.split(separator: "&")
        guard fields.count <= Self.maximumFields else {
            throw WebQueryError("query", "at most \(Self.maximumFields) fields are understood")
        }
        for field in fields {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = PercentText.decode(parts[0]), let value = PercentText.decode(parts[1])
            else { throw WebQueryError("query", "a field is NAME=VALUE in the encoding of URLs") }
            guard value.utf8.count <= Self.maximumText else {
                throw WebQueryError(name, "a value has at most \(Self.maximumText) bytes")
            }
            if !value.isEmpty { try take(name, value) }
        }
    }

    /// Whether a flow is wanted. Records of loss always are: what is missing might have been.
    func matches(_ flow: Flow) -> Bool {
        guard filter.matches(flow) else { return false }
        guard let text, flow.kind != .lost else { return true }
        return FlowText().line(flow).lowercased().contains(text)
    }

    private mutating func take(_ name: String, _ value: String) throws(WebQueryError) {
        switch name {
        case "cursor":
            guard let found = FlowCursor(value) else { throw WebQueryError(name, "'\(value)' was never given out") }
            cursor = found
        case "wait":
            guard let seconds = UInt16(value) else { throw WebQueryError(name, "'\(value)' is no number of seconds") }
            wait = .seconds(Int(seconds))
        case "text": text = value.lowercased()
        default: try narrow(name, value)
        }
    }

    private mutating func narrow(_ name: String, _ value: String) throws(WebQueryError) {
        func one<Value>(_ parsed: Value?, _ form: String) throws(WebQueryError) -> Value {
            guard let parsed else { throw WebQueryError(name, "'\(value)' is not \(form)") }
            return parsed
        }
        let named = "a name as NAME or NAMESPACE/NAME, with or without a final *"
        switch name {
        case "namespace": filter.namespaces.append(value)
        case "pod": filter.pods.append(try one(NamePattern(value), named))
        case "service": filter.services.append(try one(NamePattern(value), named))
        case "ip":
            let block = CIDR(value) ?? IPAddress(value).map { CIDR(host: $0) }
            filter.addresses.append(try one(block, "an address or a block such as 10.0.0.0/8"))
        case "port": filter.ports.append(try one(Port(value), "a port from 0 to 65535"))
        case "protocol": filter.protocols.append(try one(IPProtocol(value), "TCP, UDP, SCTP, ICMP, ICMPv6 or a number"))
        case "verdict":
            filter.verdicts.append(try one(Flow.Verdict(rawValue: value), "forwarded, dropped or audit"))
        case "kind": filter.kinds.append(try one(Flow.Kind(rawValue: value), "a kind of flow, such as opened"))
        case "name": filter.names.append(try one(DomainFilter(value), "a domain name such as *.example.com"))
        default: throw WebQueryError(name, "there is no such field")
        }
    }
}

/// Text in the encoding of URLs' queries.
enum PercentText {
    /// Nil when it is not well formed, or no UTF-8.
    static func decode(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst(), let low = rest.popFirst(), let value = hexadecimal(high, low) else {
                    return nil
                }
                bytes.append(value)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexadecimal(_ high: UInt8, _ low: UInt8) -> UInt8? {
        let digits = [high, low].compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        return digits.count == 2 ? UInt8(digits[0] * 16 + digits[1]) : nil
    }
}
