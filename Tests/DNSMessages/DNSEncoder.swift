package import Addressing
package import Wire

/// A message as a test writes it down.
package struct SentMessage {
    package enum Data {
        case address(IPAddress)
        case alias(String)
        case raw(type: UInt16, [UInt8])
    }

    package struct Record {
        package var owner: String
        package var lifetime: UInt32
        package var data: Data

        package init(owner: String, lifetime: UInt32 = 60, data: Data) {
            self.owner = owner
            self.lifetime = lifetime
            self.data = data
        }
    }

    package var id: UInt16 = 0x1234
    package var flags: UInt16 = 0x8180
    package var name: String
    package var type: DNSType
    package var answers: [Record]
    package var authorities: [Record]
    package var additionals: [Record] = []
    /// The payload size and the upper byte of the response code of an OPT record.
    package var options: (payloadSize: UInt16, upperCode: UInt8)?

    package init(
        id: UInt16 = 0x1234, name: String = "example.com", type: DNSType = .a, answers: [Record] = [],
        authorities: [Record] = []
    ) {
        self.id = id
        self.name = name
        self.type = type
        self.answers = answers
        self.authorities = authorities
    }
}

/// Writes messages, with compression pointers if wanted.
package struct DNSEncoder {
    private(set) var bytes: [UInt8] = []
    private var places: [String: Int] = [:]
    private let compresses: Bool

    package static func encode(_ message: SentMessage, compresses: Bool = true) -> [UInt8] {
        var encoder = DNSEncoder(compresses: compresses)
        encoder.add(message)
        return encoder.bytes
    }

    private init(compresses: Bool) { self.compresses = compresses }

    private mutating func add(_ message: SentMessage) {
        add(message.id, message.flags, 1, UInt16(message.answers.count), UInt16(message.authorities.count))
        add(UInt16(message.additionals.count) + (message.options == nil ? 0 : 1))
        add(name: message.name)
        add(message.type.rawValue, 1)
        for record in message.answers + message.authorities + message.additionals { add(record) }
        guard let options = message.options else { return }
        bytes.append(0)
        add(DNSType.opt.rawValue, options.payloadSize, UInt16(options.upperCode) << 8, 0, 0)
    }

    private mutating func add(_ numbers: UInt16...) {
        for number in numbers { bytes += [UInt8(number >> 8), UInt8(number & 0xff)] }
    }

    private mutating func add(_ record: SentMessage.Record) {
        add(name: record.owner)
        let type: UInt16 =
            switch record.data {
            case .address(let address): address.isIPv4 ? DNSType.a.rawValue : DNSType.aaaa.rawValue
            case .alias: DNSType.cname.rawValue
            case .raw(let type, _): type
            }
        add(type, 1, UInt16(record.lifetime >> 16), UInt16(record.lifetime & 0xffff), 0)
        let start = bytes.count
        switch record.data {
        case .address(let address): bytes += address.isIPv4 ? Array(address.bytes.suffix(4)) : address.bytes
        case .alias(let target): add(name: target)
        case .raw(_, let data): bytes += data
        }
        let length = bytes.count - start
        bytes[start - 2] = UInt8(length >> 8)
        bytes[start - 1] = UInt8(length & 0xff)
    }

    private mutating func add(name: String) {
        var rest = name[...]
        while !rest.isEmpty {
            if compresses, let place = places[rest.lowercased()] {
                add(0xc000 | UInt16(place))
                return
            }
            if bytes.count < 0x4000 { places[rest.lowercased()] = bytes.count }
            let label = rest.prefix { $0 != "." }
            bytes.append(UInt8(label.utf8.count))
            bytes += Array(label.utf8)
            rest = rest.dropFirst(label.count + 1)
        }
        bytes.append(0)
    }
}

extension DNSResponse {
    /// Parses an array's bytes, which is what tests have.
    package init(_ bytes: [UInt8]) throws(DNSError) { try self.init(parsing: bytes.span.bytes) }
}

extension DNSQuery {
    package init(_ bytes: [UInt8]) throws(DNSError) { try self.init(parsing: bytes.span.bytes) }
}
