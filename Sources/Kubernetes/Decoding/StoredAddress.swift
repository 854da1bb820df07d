internal import Addressing

/// Addresses and ranges as API servers hold them.
///
/// From 1.36 on a server takes only one way of writing each (`StrictIPCIDRValidation`), but objects that are older than
/// that stay as they are: octets with leading zeros, which are decimal, and IPv4 addresses in the form of IPv6.
enum StoredAddress {
    /// An address.
    static func address(_ text: some StringProtocol) -> IPAddress? { IPAddress(withoutZeros(text)) }

    /// A range; bits after its length count for nothing.
    static func range(_ text: String) -> CIDR? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = address(parts[0]), isNumber(parts[1]), let length = Int(parts[1]) else {
            return nil
        }
        guard address.isIPv4, parts[0].contains(":") else { return CIDR(address, length: length) }
        // In the form of IPv6 the length counts from the first of 128 bits.
        if length >= 96 { return CIDR(address, length: length - 96) }
        // Wider than the IPv4 addresses: a range of IPv6, which holds none of them.
        let low = length <= 64 ? 0 : address.low & UInt64.max << UInt64(128 - length)
        return CIDR(IPAddress(high: 0, low: low), length: length)
    }

    /// The text without the leading zeros of dotted octets, which no other part of an address has.
    private static func withoutZeros(_ text: some StringProtocol) -> String {
        let start = text.lastIndex(of: ":").map { text.index(after: $0) } ?? text.startIndex
        let tail = text[start...]
        guard tail.contains(".") else { return String(text) }
        let octets = tail.split(separator: ".", omittingEmptySubsequences: false).map { octet in
            let rest = octet.drop { $0 == "0" }
            return rest.isEmpty && !octet.isEmpty ? "0" : String(rest)
        }
        return text[..<start] + octets.joined(separator: ".")
    }

    private static func isNumber(_ text: some StringProtocol) -> Bool {
        (1...9).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
