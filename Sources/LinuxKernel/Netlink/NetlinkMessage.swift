internal import Addressing

/// Message types (include/uapi/linux/netlink.h, rtnetlink.h).
enum NetlinkType {
    static let error: UInt16 = 2
    static let done: UInt16 = 3
    static let newLink: UInt16 = 16
    static let deleteLink: UInt16 = 17
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let deleteAddress: UInt16 = 21
    static let getAddress: UInt16 = 22
    static let newRoute: UInt16 = 24
    static let deleteRoute: UInt16 = 25
    static let getRoute: UInt16 = 26
    static let newNeighbour: UInt16 = 28
    static let deleteNeighbour: UInt16 = 29
    static let getNeighbour: UInt16 = 30
}

/// Flags of a message header (include/uapi/linux/netlink.h).
enum NetlinkFlags {
    static let request: UInt16 = 0x1
    /// Answer also when all went well.
    static let acknowledge: UInt16 = 0x4
    /// The table changed while it was dumped.
    static let dumpInterrupted: UInt16 = 0x10
    static let dump: UInt16 = 0x300
    /// Of what is new: take the place of an equal one, fail if there is one, make it if there is none.
    static let replace: UInt16 = 0x100
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
}

/// Address families that routes and addresses are taken of.
enum Family {
    static let ipv4: UInt8 = 2
    /// That of frames: tables of hardware addresses.
    static let bridge: UInt8 = 7
    static let ipv6: UInt8 = 10

    static func of(_ address: IPAddress) -> UInt8 { address.isIPv4 ? ipv4 : ipv6 }
}

extension IPAddress {
    /// Its 4 or 16 bytes, as the kernel has them.
    var wireBytes: [UInt8] { isIPv4 ? Array(bytes.suffix(4)) : bytes }
}

/// One message: its header's fields and the bytes behind the header.
struct NetlinkMessage {
    let type: UInt16
    let flags: UInt16
    let sequence: UInt32
    let payload: ArraySlice<UInt8>

    private static let headerSize = 16

    /// Takes the messages of one datagram apart; stops at the first that does not fit.
    static func parse(_ datagram: ArraySlice<UInt8>) -> [NetlinkMessage] {
        var cursor = ByteCursor(datagram)
        var messages: [NetlinkMessage] = []
        while let length = cursor.take(UInt32.self), let type = cursor.take(UInt16.self),
            let flags = cursor.take(UInt16.self), let sequence = cursor.take(UInt32.self),
            cursor.take(UInt32.self) != nil,
            let payload = cursor.take(count: Int(length) - headerSize)
        {
            messages.append(NetlinkMessage(type: type, flags: flags, sequence: sequence, payload: payload))
            cursor.skip(upTo: padding(Int(length)))
        }
        return messages
    }

    /// Bytes to the next multiple of four.
    static func padding(_ length: Int) -> Int { -length & 3 }

    /// The bytes of a request: header, fixed part and attributes.
    static func request(
        type: UInt16, flags: UInt16, sequence: UInt32, fixed: [UInt8], attributes: [(type: UInt16, bytes: [UInt8])] = []
    ) -> [UInt8] {
        var body = fixed
        append(attributes, to: &body)
        var message: [UInt8] = []
        append(UInt32(body.count + headerSize), to: &message)
        append(type, to: &message)
        append(flags | NetlinkFlags.request, to: &message)
        append(sequence, to: &message)
        append(UInt32(0), to: &message)
        return message + body
    }

    /// The bytes of a number in host order.
    static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number) { Array($0) }
    }

    /// The bytes of an attribute that is made of others.
    static func nested(_ attributes: [(type: UInt16, bytes: [UInt8])]) -> [UInt8] {
        var bytes: [UInt8] = []
        append(attributes, to: &bytes)
        return bytes
    }

    private static func append(_ attributes: [(type: UInt16, bytes: [UInt8])], to body: inout [UInt8]) {
        for attribute in attributes {
            append(UInt16(attribute.bytes.count + 4), to: &body)
            append(attribute.type, to: &body)
            body += attribute.bytes
            body += [UInt8](repeating: 0, count: padding(attribute.bytes.count))
        }
    }

    /// Appends a number in host order.
    static func append<Number: FixedWidthInteger>(_ number: Number, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number) { bytes += $0 }
    }
}

/// The attributes of a message or of another attribute; of equal types the last counts.
struct NetlinkAttributes {
    private var values: [UInt16: ArraySlice<UInt8>] = [:]

    init(_ bytes: ArraySlice<UInt8>) {
        var cursor = ByteCursor(bytes)
        while let length = cursor.take(UInt16.self), let type = cursor.take(UInt16.self),
            let value = cursor.take(count: Int(length) - 4)
        {
            // The two high bits are flags: nested, network order.
            values[type & 0x3fff] = value
            cursor.skip(upTo: NetlinkMessage.padding(Int(length)))
        }
    }

    func bytes(_ type: UInt16) -> ArraySlice<UInt8>? { values[type] }

    func number<Number: FixedWidthInteger & BitwiseCopyable>(
        _ type: UInt16, as number: Number.Type = Number.self
    ) -> Number? {
        guard let value = values[type], value.count == MemoryLayout<Number>.size else { return nil }
        var cursor = ByteCursor(value)
        return cursor.take(Number.self)
    }

    /// A text that ends with its zero byte or with the attribute.
    func text(_ type: UInt16) -> String? {
        values[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
