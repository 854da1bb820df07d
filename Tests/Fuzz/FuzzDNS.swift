// What `scripts/soak dns-fuzz` runs: libFuzzer's entry, which puts any bytes to the parsers of DNS messages.
internal import Addressing
internal import Wire

/// Traps where a parser breaks a promise; that it reads out of bounds or never ends is for the sanitizer to find.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let query = try? DNSQuery(parsing: bytes.span.bytes) { check(query.name) }
    if let response = try? DNSResponse(parsing: bytes.span.bytes) {
        check(response.name)
        // A record has eleven bytes and its data.
        precondition(response.addresses.count + response.strayAddresses <= count / 15, "more addresses than fit")
    }
    assemble(bytes)
    return 0
}

private func check(_ name: String) {
    precondition(name.utf8.count <= 253, "a name that is too long")
    precondition(!name.utf8.contains { $0 >= 0x41 && $0 <= 0x5a }, "a name in upper case")
    precondition(name.isEmpty || !name.hasSuffix("."), "a trailing dot")
}

/// Takes the bytes as parts of a few messages: a header of four bytes, then as many as it says.
private func assemble(_ bytes: [UInt8]) {
    var assembler = MessageAssembler<UInt8>()
    var rest = bytes[...]
    var now: UInt64 = 0
    while rest.count > 4 {
        let header = Array(rest.prefix(4))
        let part = Array(rest.dropFirst(4).prefix(Int(header[1])))
        rest = rest.dropFirst(4 + part.count)
        now += UInt64(header[0] >> 4) << 28
        let total = header[3] == 0 ? nil : Int(header[3])
        let outcome = assembler.add(
            part.span.bytes, at: Int(header[2]), total: total,
            of: .init(connection: header[0] & 3, number: UInt32(header[0] >> 2 & 1), isDatagram: header[0] & 8 != 0),
            now: now)
        if case .complete(let whole) = outcome { precondition(whole.count <= 65_535, "a message that is too long") }
        precondition(assembler.count <= 64, "too many messages wait")
    }
    _ = UDPDatagram(bytes, between: (IPAddress(v4: 1), IPAddress(v4: 2)))
}
