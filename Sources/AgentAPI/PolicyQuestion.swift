public import Addressing

/// An end of a connection as a person names it: an address, or a pod or Service.
public enum PolicyEnd: Sendable, Hashable, LosslessStringConvertible {
    case address(IPAddress)
    case named(namespace: String, name: String)

    /// Parses an address or `namespace/name`.
    public init?(_ text: String) {
        if let address = IPAddress(text) {
            self = .address(address)
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
        case source, destination, port
        case ipProtocol = "protocol"
    }

    public var source: PolicyEnd
    public var destination: PolicyEnd
    public var ipProtocol: IPProtocol
    /// Nil for a protocol without ports.
    public var port: PolicyPort?

    public init(source: PolicyEnd, destination: PolicyEnd, ipProtocol: IPProtocol, port: PolicyPort? = nil) {
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
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("\(source)", forKey: .source)
        try container.encode("\(destination)", forKey: .destination)
        try container.encode("\(ipProtocol)", forKey: .ipProtocol)
        try container.encodeIfPresent(port?.description, forKey: .port)
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
