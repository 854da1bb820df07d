internal import Addressing
internal import BPF
internal import DatapathABI
internal import DatapathObjects
internal import DomainNames

/// The kernel's parser of DNS answers, and its walk through the patterns, on messages without a packet around them.
final class DNSParser {
    /// What the parser found in a message.
    struct Answer: Equatable {
        var id: UInt16
        var type: UInt16
        var code: UInt16
        var isTruncated: Bool
        var name: String
        var addresses: [Address]
    }

    struct Address: Equatable {
        var address: IPAddress
        var lifetime: UInt32
    }

    private let parser: BPFProgram
    private let longParser: BPFProgram
    private let matcher: BPFProgram
    private let longMessage: BPFMap
    private let memory: BPFMap
    private let addresses: BPFMap
    private let automaton: BPFMap
    /// Less than a test run takes in a page, behind the room that it keeps before and behind a frame.
    private static let longestFrame = 3_600
    /// The memory of all CPUs, as it was read last.
    private var buffer: [UInt8]
    private var addressBuffer: [UInt8]
    /// A program does not run on a frame without an Ethernet header.
    private static let header = [UInt8](repeating: 0, count: 14)

    init() throws {
        let image = BPFObjectImage.dns
        var object = try BPFObject(image: image.bytes.span.bytes, name: image.name)
        try object.load()
        parser = try object.program("parse_dns")
        longParser = try object.program("parse_long_dns")
        longMessage = try object.map("long_message")
        matcher = try object.program("match_domain")
        memory = try object.map("dns_message")
        addresses = try object.map("dns_addresses")
        automaton = try object.map("domain_automaton")
        buffer = [UInt8](repeating: 0, count: (memory.shape.valueSize + 7) / 8 * 8 * PossibleCPUs.count)
        addressBuffer = [UInt8](repeating: 0, count: addresses.shape.valueSize * PossibleCPUs.count)
    }

    /// Parses a message; returns what was found, or why it was left to the agent.
    func parse(_ message: [UInt8]) throws -> Result<Answer, Problem> {
        let result = try run(message)
        if let problem = apus_dns_problem(rawValue: result & 0xffff), problem != .APUS_DNS_PARSED {
            return .failure(Problem(problem: problem))
        }
        try read()
        return .success(answer(ofCPU: Int(result >> 16)))
    }

    private func run(_ message: [UInt8]) throws -> UInt32 {
        if message.count <= Self.longestFrame {
            return try parser.testRun(packet: Self.header + message).returnValue
        }
        let room = Int(APUS_DNS_MESSAGE_MAX)
        let padding = [UInt8](repeating: 0, count: max(0, room - message.count))
        let value = bytes(UInt32(message.count)) + message.prefix(room) + padding
        try longMessage.update(bytes(0).span.bytes, value.span.bytes)
        return try longParser.testRun(packet: Self.header + [0]).returnValue
    }

    /// Copies what all CPUs found.
    private func read() throws {
        buffer = try copy(of: memory, into: buffer)
        addressBuffer = try copy(of: addresses, into: addressBuffer)
    }

    private func copy(of map: borrowing BPFMap, into buffer: [UInt8]) throws -> [UInt8] {
        var values = buffer
        var span = values.mutableSpan
        var bytes = span.mutableBytes
        let number = [UInt8](repeating: 0, count: 4)
        _ = try map.lookup(number.span.bytes, into: &bytes)
        return values
    }

    struct Problem: Error, Hashable {
        let problem: apus_dns_problem
    }

    private func answer(ofCPU cpu: Int) -> Answer {
        let start = cpu * (buffer.count / PossibleCPUs.count)
        return buffer.withUnsafeBytes { bytes in
            let found = bytes.loadUnaligned(fromByteOffset: start, as: apus_dns_answer.self)
            let name = start + MemoryLayout<apus_dns_answer>.stride
            return Answer(
                id: found.id, type: found.type, code: found.code,
                isTruncated: found.flags & UInt16(APUS_DNS_TRUNCATED.rawValue) != 0,
                name: String(decoding: bytes[name..<name + Int(found.name_length)], as: UTF8.self),
                addresses: addresses(Int(found.address_count), ofCPU: cpu))
        }
    }

    private func addresses(_ count: Int, ofCPU cpu: Int) -> [Address] {
        let start = cpu * (addressBuffer.count / PossibleCPUs.count)
        return addressBuffer.withUnsafeBytes { bytes in
            (0..<count).map { number in
                let place = start + number * MemoryLayout<apus_dns_address>.stride
                let record = bytes.loadUnaligned(fromByteOffset: place, as: apus_dns_address.self)
                return Address(
                    address: IPAddress(
                        high: UInt64(bigEndian: record.address.high), low: UInt64(bigEndian: record.address.low)),
                    lifetime: record.lifetime)
            }
        }
    }

    // MARK: - Patterns

    /// Puts an automaton in the place of the one that is in force.
    func install(_ new: DomainAutomaton) throws { try automaton.install(new) }

    /// The number of the pattern set of the name that a message asks for; nil for a message that was not parsed.
    func patternSet(_ message: [UInt8]) throws -> Int? {
        let result = try matcher.testRun(packet: Self.header + message).returnValue
        return result == .max ? nil : Int(result)
    }

    /// The mean time of parsing a message and walking its name, nanoseconds.
    func nanoseconds(_ message: [UInt8], repeat count: Int) throws -> UInt32 {
        try matcher.testRun(packet: Self.header + message, repeat: count).duration
    }
}

private func bytes(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }

extension BPFMap {
    /// Puts an automaton in the place of the one that is in force in this array of maps.
    func install(_ new: DomainAutomaton) throws {
        let rows = try BPFMap.create(
            BPFMapShape(
                type: .array, keySize: 4, valueSize: MemoryLayout<apus_domain_state>.size, maxEntries: new.stateCount,
                flags: .ofAnySize),
            name: "domain_states")
        var keys: [UInt8] = []
        for number in 0..<UInt32(new.stateCount) { keys += bytes(number) }
        let result = rows.update(packedKeys: keys.span.bytes, packedValues: new.rows.span.bytes)
        if let failure = result.failure { throw failure }
        try update(UInt32(0), toMap: rows)
    }
}

extension DomainAutomaton {
    /// The table as the kernel has it; row 0, which no name leaves, tells where names begin.
    fileprivate var rows: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(byteCount)
        for state in 0..<stateCount {
            let first = state * DomainAlphabet.classCount
            for next in transitions[first..<first + DomainAlphabet.classCount] { result += bytes(next) }
            result += bytes(state == 0 ? start : acceptance[state])
        }
        return result
    }
}
