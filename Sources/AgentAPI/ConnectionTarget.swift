internal import Addressing

/// Where a connection goes to as a person writes it: an end, with its port behind a colon or without.
public struct ConnectionTarget: Sendable, Hashable, LosslessStringConvertible {
    public var end: PolicyEnd
    public var port: PolicyPort?

    /// Parses `shop/web`, `shop/web:http`, `10.96.0.10`, `10.96.0.10:80`, `fd00::10` and `[fd00::10]:80`.
    public init?(_ text: String) {
        let isNamed = text.contains("/")
        if !isNamed, let end = PolicyEnd(text) {
            self.end = end
            return
        }
        guard let colon = text.lastIndex(of: ":") else {
            guard let end = PolicyEnd(text) else { return nil }
            self.end = end
            return
        }
        var head = text[..<colon]
        let isBracketed = head.first == "[" && head.last == "]"
        if isBracketed { head = head.dropFirst().dropLast() }
        guard let end = PolicyEnd(String(head)), let port = PolicyPort(String(text[text.index(after: colon)...])),
            isNamed != isBracketed || !isNamed && !head.contains(":")
        else { return nil }
        (self.end, self.port) = (end, port)
    }

    public var description: String {
        guard let port else { return "\(end)" }
        if case .address(let address) = end, !address.isIPv4 { return "[\(address)]:\(port)" }
        return "\(end):\(port)"
    }
}
