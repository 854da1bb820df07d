internal import Addressing
internal import DatapathABI
internal import LinuxKernel
internal import Wire

/// A question that waits for its answer, as the map holds it.
struct RawQuestion {
    let key: apus_question_key
    let value: apus_question

    init(key: apus_question_key, value: apus_question) {
        self.key = key
        self.value = value
    }

    /// Nil when the map's keys or values have another length.
    init?(_ key: borrowing RawSpan, _ value: borrowing RawSpan) {
        guard key.byteCount == MemoryLayout<apus_question_key>.size, value.byteCount == MemoryLayout<apus_question>.size
        else { return nil }
        // Integers only: every pattern of bits is a value.
        self.init(
            key: key.unsafeLoadUnaligned(as: apus_question_key.self),
            value: value.unsafeLoadUnaligned(as: apus_question.self))
    }

    /// Whether it has waited for longer than a question may, in nanoseconds.
    func isOver(at now: UInt64, after timeout: UInt64) -> Bool {
        now > value.asked_ns && now - value.asked_ns > timeout
    }

    /// Whether it asks for a type of records of a name.
    func asks(_ name: String, _ type: DNSType) -> Bool { value.type == type.rawValue && self.name == name }

    /// Lower case, no trailing dot.
    fileprivate var name: String {
        withUnsafeBytes(of: value.name) { String(decoding: $0.prefix(Int(value.name_length)), as: UTF8.self) }
    }

    /// The pod and the resolver.
    fileprivate var tuple: FlowTuple {
        let (low, high) = (
            SocketAddress(key.connection.low.address, key.connection.low_port.bigEndian),
            SocketAddress(key.connection.high.address, key.connection.high_port.bigEndian)
        )
        return FlowTuple(
            source: value.opener == 0 ? low : high, destination: value.opener == 0 ? high : low,
            ipProtocol: IPProtocol(rawValue: key.connection.protocol))
    }
}

extension DatapathAnswer {
    /// A question of which is only known how it was asked.
    private init(_ question: RawQuestion, code: UInt16, at time: UInt64) {
        let value = question.value
        self.init(
            time: time, latency: time > value.asked_ns ? time - value.asked_ns : 0, tuple: question.tuple,
            name: question.name, type: value.type, code: code)
        frontend = SocketAddress(frontend: value.frontend, value.frontend_port)
        client = EndpointReference(abiSlot: value.endpoint, identity: value.identity)
        egress = PolicyDecision(abiPolicy: value.policy, rule: value.rule)
    }

    /// An answer that the agent read.
    init(_ response: DNSResponse, to question: RawQuestion, at time: UInt64) {
        self.init(question, code: response.code.rawValue, at: time)
        isTruncated = response.isTruncated
        let told = response.addresses.prefix(Self.addressLimit)
        addresses = told.map(\.address)
        addressCount = response.addresses.count
        lifetime = told.map(\.lifetime).min() ?? 0
    }

    /// An answer that nobody could read.
    init(_ answer: UnreadableAnswer, to question: RawQuestion, at time: UInt64) {
        self.init(question, code: answer.code, at: time)
        isTruncated = answer.isTruncated
    }

    /// A question that was given up after so many nanoseconds.
    init(unanswered question: RawQuestion, after timeout: UInt64) {
        self.init(question, code: 0, at: question.value.asked_ns + timeout)
        isAnswered = false
    }
}
