public import Addressing

/// A question to a resolver.
public struct DNSQuery: Hashable, Sendable {
    public let id: UInt16
    /// The name asked for: lower case, no trailing dot, empty for the root.
    public let name: String
    public let type: DNSType
    public let isRecursionDesired: Bool
    public let options: DNSOptions?

    /// Parses a message without the length that TCP puts before it.
    public init(parsing bytes: borrowing RawSpan) throws(DNSError) {
        let message = try DNSMessage(bytes, isResponse: false)
        id = message.header.id
        name = message.name
        type = message.type
        isRecursionDesired = message.header.isRecursionDesired
        options = message.options
    }
}

/// A resolver's answer, with the addresses that it gives to the name in its question.
public struct DNSResponse: Hashable, Sendable {
    /// An address of the name in question.
    public struct Address: Hashable, Sendable {
        public let address: IPAddress
        /// Seconds, of the address record itself; the aliases that lead to it may live shorter.
        public let lifetime: UInt32

        public init(_ address: IPAddress, lifetime: UInt32) {
            self.address = address
            self.lifetime = lifetime
        }
    }

    public let id: UInt16
    /// The name in the question: lower case, no trailing dot, empty for the root.
    public let name: String
    public let type: DNSType
    public let code: DNSResponseCode
    /// The addresses of the name and of what its aliases lead to, in the order of the message.
    public let addresses: [Address]
    /// Address records of names that the question does not lead to: of no meaning, and a sign of forgery.
    public let strayAddresses: Int
    /// The message did not have room for all; a client asks again over TCP.
    public let isTruncated: Bool
    public let options: DNSOptions?

    /// Parses a message without the length that TCP puts before it.
    public init(parsing bytes: borrowing RawSpan) throws(DNSError) {
        let message = try DNSMessage(bytes, isResponse: true)
        id = message.header.id
        name = message.name
        type = message.type
        let upper = UInt16(message.options?.upperResponseCode ?? 0)
        code = DNSResponseCode(rawValue: upper << 4 | message.header.responseCode)
        isTruncated = message.header.isTruncated
        options = message.options
        let names = Self.namesReached(from: message.name, by: message.answers)
        var (found, stray): ([Address], Int) = ([], 0)
        for record in message.answers {
            guard case .address(let address) = record.data else { continue }
            if names.contains(record.owner) {
                found.append(Address(address, lifetime: record.lifetime))
            } else {
                stray += 1
            }
        }
        addresses = found
        strayAddresses = stray
    }

    /// A name and all that its aliases lead to, in whatever order the records are; a circle of them ends.
    private static func namesReached(from name: String, by answers: [DNSRecord]) -> Set<String> {
        var targets: [String: [String]] = [:]
        for record in answers {
            if case .canonicalName(let target) = record.data { targets[record.owner, default: []].append(target) }
        }
        var reached: Set<String> = [name]
        var pending = [name]
        while let next = pending.popLast() {
            for target in targets[next] ?? [] where reached.insert(target).inserted { pending.append(target) }
        }
        return reached
    }
}
