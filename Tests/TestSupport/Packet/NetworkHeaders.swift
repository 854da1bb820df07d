internal import Addressing

/// RFC 791 §3.1.
struct IPv4Header: Sendable {
    var addresses: IPPair
    var ttl: UInt8
    var typeOfService: UInt8
    var identification: UInt16
    var doNotFragment: Bool
    var options: [UInt8]
    var fragment: Fragment?
    var ipProtocol: IPProtocol?

    func encode(_ payload: [UInt8], next: Layer?) -> [UInt8] {
        let options = options.padded(to: 4)
        let length = 20 + options.count
        var bytes: [UInt8] = [0x40 | UInt8(truncatingIfNeeded: length / 4), typeOfService]
        bytes.append(big: UInt16(truncatingIfNeeded: length + payload.count))
        bytes.append(big: identification)
        bytes.append(
            big: (doNotFragment ? 0x4000 : 0) | (fragment?.more == true ? 0x2000 : 0) | (fragment?.units ?? 0))
        bytes += [ttl, (ipProtocol ?? next?.ipProtocol ?? .noNextHeader).rawValue, 0, 0]
        bytes += addresses.source.wireBytes + addresses.destination.wireBytes + options
        bytes.put(big: Checksum.internet(bytes), at: 10)
        return bytes + payload
    }
}

/// RFC 8200 §3.
struct IPv6Header: Sendable {
    var addresses: IPPair
    var hopLimit: UInt8
    var trafficClass: UInt8
    var flowLabel: UInt32
    var nextHeader: IPProtocol?

    func encode(_ payload: [UInt8], next: Layer?) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(big: UInt32(6) << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xfffff)
        bytes.append(big: UInt16(truncatingIfNeeded: payload.count))
        bytes += [(nextHeader ?? next?.ipProtocol ?? .noNextHeader).rawValue, hopLimit]
        return bytes + addresses.source.bytes + addresses.destination.bytes + payload
    }
}

/// An extension header with options (RFC 8200 §4.3, §4.4, §4.6; RFC 4302 §2 for authentication).
public struct IPv6Extension: Sendable {
    /// Which header it is.
    public enum Kind: Sendable, CaseIterable {
        case hopByHop, routing, destinationOptions, authentication

        var ipProtocol: IPProtocol {
            switch self {
            case .hopByHop: .hopByHop
            case .routing: .routing
            case .destinationOptions: .destinationOptions
            case .authentication: .authentication
            }
        }
    }

    var kind: Kind
    var body: [UInt8]
    var nextHeader: IPProtocol?

    func encode(_ payload: [UInt8], next: Layer?) -> [UInt8] {
        let protocolNumber = (nextHeader ?? next?.ipProtocol ?? .noNextHeader).rawValue
        if kind == .authentication {  // the only length in units of 4 bytes, minus 2; at least SPI and sequence
            var bytes: [UInt8] = [protocolNumber, 0] + body
            bytes += [UInt8](repeating: 0, count: max(0, 16 - bytes.count))
            bytes = bytes.padded(to: 8)
            bytes[1] = UInt8(truncatingIfNeeded: bytes.count / 4 - 2)
            return bytes + payload
        }
        var bytes = [protocolNumber, 0] + body
        bytes += padding(8 - (bytes.count % 8 == 0 ? 8 : bytes.count % 8))
        bytes[1] = UInt8(truncatingIfNeeded: bytes.count / 8 - 1)
        return bytes + payload
    }

    /// Pad1 and PadN options (RFC 8200 §4.2); a routing header has type-specific data, where zeros do.
    private func padding(_ count: Int) -> [UInt8] {
        if kind == .routing || count < 2 { return [UInt8](repeating: 0, count: count) }
        return [1, UInt8(count - 2)] + [UInt8](repeating: 0, count: count - 2)
    }
}

/// RFC 8200 §4.5.
struct IPv6FragmentHeader: Sendable {
    var fragment: Fragment
    var identification: UInt32
    var nextHeader: IPProtocol?

    func encode(_ payload: [UInt8], next: Layer?) -> [UInt8] {
        var bytes: [UInt8] = [(nextHeader ?? next?.ipProtocol ?? .noNextHeader).rawValue, 0]
        bytes.append(big: fragment.units << 3 | (fragment.more ? 1 : 0))
        bytes.append(big: identification)
        return bytes + payload
    }
}

extension [UInt8] {
    /// Zeros appended up to a multiple of `unit`.
    func padded(to unit: Int) -> [UInt8] {
        self + [UInt8](repeating: 0, count: (unit - count % unit) % unit)
    }
}
