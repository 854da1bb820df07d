public import Addressing

/// An end of a connection as a person names it: an address, a pod or Service, or a name of the DNS.
public enum PolicyEnd: Sendable, Hashable, LosslessStringConvertible {
    case address(IPAddress)
    case named(namespace: String, name: String)
    /// In lower case, without a trailing dot.
    case domain(String)

    /// Parses an address, `namespace/name`, or a name with a dot: `www.example.com`, `registry.`.
    public init?(_ text: String) {
        if let address = IPAddress(text) {
            self = .address(address)
            return
        }
        if let domain = Self.domain(text) {
            self = .domain(domain)
            return
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        self = .named(namespace: parts[0], name: parts[1])
    }

    public var description: String {
        switch self {
        case .address(let address): "\(address)"
        case .named(let namespace, let name): "\(namespace)/\(name)"
        case .domain(let name): name.contains(".") ? name : name + "."
        }
    }

    /// A name in normal form; nil for other text, such as an address with a part missing.
    private static func domain(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: ".")) else { return nil }
        let name = (text.hasSuffix(".") ? text.dropLast() : text[...]).lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.utf8.allSatisfy(isInName)
        }
        // No top-level domain is a number (RFC 3696 section 2).
        guard isName, name.utf8.count <= 253, let last = labels.last, Int(last) == nil else { return nil }
        return name
    }

    private static func isInName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}

/// A destination port as a person names it.
public enum PolicyPort: Sendable, Hashable, LosslessStringConvertible {
    case number(Port)
    /// The name of a container's port or of a Service's port.
    case name(String)

    /// Parses a number from 1 to 65535 or a name.
    public init?(_ text: String) {
        if let number = Int(text) {
            guard (1...65535).contains(number) else { return nil }
            self = .number(Port(number))
        } else if text.isEmpty {
            return nil
        } else {
            self = .name(text)
        }
    }

    public var description: String {
        switch self {
        case .number(let number): "\(number)"
        case .name(let name): name
        }
    }
}

/// Asks what the policies of this node say of a packet that opens a connection.
public struct PolicyQuestion: Sendable, Hashable, Codable {
    private enum CodingKeys: String, CodingKey {
        case source, destination, port, received
        case ipProtocol = "protocol"
    }

    public var source: PolicyEnd
    public var destination: PolicyEnd
    public var ipProtocol: IPProtocol
    /// Nil for a protocol without ports.
    public var port: PolicyPort?
    /// Whether it comes in by an interface of this node: who has the node's address is not the node then.
    public var isReceived: Bool

    public init(
        source: PolicyEnd, destination: PolicyEnd, ipProtocol: IPProtocol, port: PolicyPort? = nil,
        isReceived: Bool = false
    ) {
        self.isReceived = isReceived
        self.source = source
        self.destination = destination
        self.ipProtocol = ipProtocol
        self.port = port
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        source = try container.text(.source)
        destination = try container.text(.destination)
        ipProtocol = try container.text(.ipProtocol)
        port = try container.contains(.port) ? container.text(.port) : nil
        isReceived = try container.decodeIfPresent(Bool.self, forKey: .received) ?? false
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("\(source)", forKey: .source)
        try container.encode("\(destination)", forKey: .destination)
        try container.encode("\(ipProtocol)", forKey: .ipProtocol)
        try container.encodeIfPresent(port?.description, forKey: .port)
        if isReceived { try container.encode(true, forKey: .received) }
    }
}

extension KeyedDecodingContainer {
    /// A value that is written as text.
    fileprivate func text<Value: LosslessStringConvertible>(_ key: Key) throws -> Value {
        let text = try decode(String.self, forKey: key)
        guard let value = Value(text) else {
            throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: "can't read \"\(text)\"")
        }
        return value
    }
}
