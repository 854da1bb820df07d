public import Addressing
internal import DatapathABI

/// What a resolver answered to a question of a pod, or that it did not.
public struct DatapathAnswer: Sendable, Hashable {
    /// When the answer passed, or the question was given up, in nanoseconds of the monotonic clock.
    public var time: UInt64
    /// Nanoseconds since the question passed.
    public var latency: UInt64
    /// The pod and the resolver.
    public var tuple: FlowTuple
    /// The Service address that was asked, if one was.
    public var frontend: SocketAddress?
    public var client: EndpointReference?
    /// What judged the pod's egress; nil where no policy applied.
    public var egress: PolicyDecision?
    /// The name in question: lower case, no trailing dot.
    public var name: String
    /// The type of the question, as its number.
    public var type: UInt16
    /// The response code.
    public var code: UInt16
    /// Whether there was an answer at all.
    public var isAnswered = true
    /// The message did not have room for all; the client asks again over TCP.
    public var isTruncated = false
    /// The first addresses of the answer.
    public var addresses: [IPAddress] = []
    /// How many it has in all.
    public var addressCount = 0
    /// The shortest lifetime of `addresses`, seconds.
    public var lifetime: UInt32 = 0

    /// The most addresses that are told.
    public static let addressLimit = Int(APUS_ANSWER_ADDRESSES)

    /// An answer without addresses.
    public init(time: UInt64, latency: UInt64, tuple: FlowTuple, name: String, type: UInt16, code: UInt16) {
        self.time = time
        self.latency = latency
        self.tuple = tuple
        self.name = name
        self.type = type
        self.code = code
    }
}

extension DatapathAnswer {
    /// Bytes of a record in the ring buffer; all have this length.
    public static var recordLength: Int { MemoryLayout<apus_answer_event>.size }

    /// Decodes a record.
    public init(decoding record: borrowing RawSpan) throws(RecordError) {
        guard record.byteCount == Self.recordLength else {
            throw RecordError(.length(record.byteCount, expected: Self.recordLength))
        }
        // Integers only: every pattern of bits is a value.
        let raw = record.unsafeLoadUnaligned(as: apus_answer_event.self)
        let tuple = FlowTuple(
            source: SocketAddress(raw.client.address, raw.client_port.bigEndian),
            destination: SocketAddress(raw.resolver.address, raw.resolver_port.bigEndian),
            ipProtocol: IPProtocol(rawValue: raw.protocol))
        let name = withUnsafeBytes(of: raw.name) { String(decoding: $0.prefix(Int(raw.name_length)), as: UTF8.self) }
        self.init(
            time: raw.time_ns, latency: raw.latency_ns, tuple: tuple, name: name, type: raw.type, code: raw.code)
        frontend = SocketAddress(frontend: raw.frontend, raw.frontend_port)
        client = EndpointReference(abiSlot: raw.endpoint, identity: raw.identity)
        egress = PolicyDecision(abiPolicy: raw.policy, rule: raw.rule)
        isAnswered = raw.flags & UInt16(APUS_DNS_UNANSWERED.rawValue) == 0
        isTruncated = raw.flags & UInt16(APUS_DNS_TRUNCATED.rawValue) != 0
        addressCount = Int(raw.address_count)
        addresses = withUnsafeBytes(of: raw.addresses) { bytes in
            bytes.bindMemory(to: apus_address.self).prefix(addressCount).map(\.address)
        }
        lifetime = raw.lifetime
    }
}

extension DatapathAnswer: CustomStringConvertible {
    /// One line for dumps.
    public var description: String {
        let frontend = frontend.map { " frontend \($0)" } ?? ""
        let found = addresses.map { "\($0)" }.joined(separator: ",")
        return
            "\(time) \(isAnswered ? "answer" : "unanswered") \(tuple)\(frontend) name \(name) type \(type) code \(code) latency \(latency) "
            + "addresses \(addressCount)" + (found.isEmpty ? "" : " \(found)")
    }
}
