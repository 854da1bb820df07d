/// A set of TCP header flags (RFC 9293 §3.1), the header's byte as it is.
public struct TCPFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let fin = TCPFlags(rawValue: 1)
    public static let syn = TCPFlags(rawValue: 2)
    public static let rst = TCPFlags(rawValue: 4)
    public static let psh = TCPFlags(rawValue: 8)
    public static let ack = TCPFlags(rawValue: 16)
    public static let urg = TCPFlags(rawValue: 32)
    public static let ece = TCPFlags(rawValue: 64)
    public static let cwr = TCPFlags(rawValue: 128)

    private static let allNames: [(TCPFlags, String)] = [
        (.fin, "FIN"), (.syn, "SYN"), (.rst, "RST"), (.psh, "PSH"), (.ack, "ACK"), (.urg, "URG"), (.ece, "ECE"),
        (.cwr, "CWR"),
    ]

    /// The names of the flags, from the lowest bit up.
    public var names: [String] { Self.allNames.filter { contains($0.0) }.map(\.1) }

    /// The set of the named flags; nil when a name is unknown.
    public init?(names: [String]) {
        var flags: TCPFlags = []
        for name in names {
            guard let match = Self.allNames.first(where: { $0.1 == name }) else { return nil }
            flags.insert(match.0)
        }
        self = flags
    }
}
