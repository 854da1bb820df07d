public import Addressing

/// What a resolver was asked and answered, if it did, as copies of a flow share it.
public final class DNSAnswer: Sendable {
    /// The name in question: lower case, no trailing dot, empty for the root.
    public let query: String
    /// The type of the question by its number.
    public let type: UInt16
    /// The response code by its number; 0 where there was no answer.
    public let code: UInt16
    /// The first of the addresses in the answer.
    public let addresses: [IPAddress]
    /// How many there are in all.
    public let addressCount: Int
    /// The shortest lifetime of `addresses`, seconds.
    public let lifetime: UInt32
    /// Nanoseconds from the question to the answer, or to when it was given up.
    public let latency: UInt64
    /// The message did not have room for all; a client asks again over TCP.
    public let isTruncated: Bool
    /// Whether there was an answer.
    public let isAnswered: Bool

    public init(
        query: String, type: UInt16, code: UInt16, addresses: [IPAddress] = [], addressCount: Int? = nil,
        lifetime: UInt32 = 0, latency: UInt64, isTruncated: Bool = false, isAnswered: Bool = true
    ) {
        self.query = query
        self.type = type
        self.code = code
        self.addresses = addresses
        self.addressCount = addressCount ?? addresses.count
        self.lifetime = lifetime
        self.latency = latency
        self.isTruncated = isTruncated
        self.isAnswered = isAnswered
    }

    /// `A`, `AAAA`; the number of one without a name here.
    public var typeText: String { Self.typeText(type) }

    /// The name of a type.
    public static func typeText(_ type: UInt16) -> String { typeNames[type] ?? "TYPE\(type)" }

    /// `NOERROR`, `NXDOMAIN`; the number of one without a name here.
    public var codeText: String { Self.codeNames[code] ?? "RCODE\(code)" }

    // The registries of IANA, "Domain Name System (DNS) Parameters".
    private static let typeNames: [UInt16: String] = [
        1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 35: "NAPTR",
        43: "DS", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", 255: "ANY", 257: "CAA",
    ]
    private static let codeNames: [UInt16: String] = [
        0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
        7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS",
    ]

    /// The number of a type by what ``typeText`` makes of it.
    static func type(_ text: String) -> UInt16? {
        typeNames.first { $0.value == text }?.key ?? (text.hasPrefix("TYPE") ? UInt16(text.dropFirst(4)) : nil)
    }
}

extension DNSAnswer: Equatable {
    public static func == (left: DNSAnswer, right: DNSAnswer) -> Bool {
        left === right
            || (left.query == right.query && left.type == right.type && left.code == right.code
                && left.addresses == right.addresses && left.addressCount == right.addressCount
                && left.lifetime == right.lifetime && left.latency == right.latency
                && left.isTruncated == right.isTruncated && left.isAnswered == right.isAnswered)
    }
}
