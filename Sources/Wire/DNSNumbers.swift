/// A record's or a question's type; any number is one.
public struct DNSType: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let a = DNSType(rawValue: 1)
    public static let cname = DNSType(rawValue: 5)
    public static let aaaa = DNSType(rawValue: 28)
    public static let opt = DNSType(rawValue: 41)
}

/// The names that we know; RFC 3597 §5 for the others.
extension DNSType: CustomStringConvertible {
    public var description: String {
        switch self {
        case .a: "A"
        case .cname: "CNAME"
        case .aaaa: "AAAA"
        case .opt: "OPT"
        default: "TYPE\(rawValue)"
        }
    }
}

/// A response code of 4 bits, or of 12 with EDNS; any number is one.
public struct DNSResponseCode: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let noError = DNSResponseCode(rawValue: 0)
    public static let serverFailure = DNSResponseCode(rawValue: 2)
    public static let noSuchName = DNSResponseCode(rawValue: 3)
    public static let refused = DNSResponseCode(rawValue: 5)
}

/// The IANA mnemonics of what we know.
extension DNSResponseCode: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noError: "NOERROR"
        case .serverFailure: "SERVFAIL"
        case .noSuchName: "NXDOMAIN"
        case .refused: "REFUSED"
        default: "RCODE\(rawValue)"
        }
    }
}
