/// Puts messages together that come in parts: in segments of a TCP connection, or in fragments of a datagram.
///
/// What waits is bounded in every direction: the bytes and parts of a message, the messages of a connection and of all,
/// and the time. A value without a clock: every time is the caller's, in nanoseconds of one monotonic clock.
public struct MessageAssembler<Connection: Hashable & Sendable>: Sendable {
    public struct Limits: Sendable, Hashable {
        /// Bytes of a message.
        public var bytes = 65_535
        /// Parts of a message.
        public var parts = 64
        /// Messages that wait for parts, of one connection and of all.
        public var messagesOfConnection = 4
        public var messages = 64
        /// Nanoseconds from a message's first part to its last.
        public var age: UInt64 = 5_000_000_000

        public init() {}
    }

    /// Which message a part belongs to.
    public struct Message: Hashable, Sendable {
        public let connection: Connection
        /// What tells the messages of a connection apart.
        public let number: UInt32
        /// Fragments may not overlap but for one that comes twice (RFC 5722); segments may, as TCP sends again as it
        /// likes, with the same bytes.
        public let isDatagram: Bool

        public init(connection: Connection, number: UInt32, isDatagram: Bool) {
            self.connection = connection
            self.number = number
            self.isDatagram = isDatagram
        }
    }

    /// What became of a part.
    public enum Outcome: Sendable, Hashable {
        /// Others are missing.
        case waiting
        /// The message, which is forgotten.
        case complete([UInt8])
        /// It contradicts the parts before it, or is too much: nothing comes of the message.
        case refused
    }

    /// Messages of which nothing came.
    public struct Losses: Sendable, Hashable {
        /// Parts contradict each other, or are too many or too long.
        public internal(set) var refused: UInt64 = 0
        /// Parts did not come in time, or others needed the room.
        public internal(set) var incomplete: UInt64 = 0
    }

    private let limits: Limits
    private var waiting: [Message: PartialMessage] = [:]
    public private(set) var losses = Losses()

    public init(_ limits: Limits = Limits()) { self.limits = limits }

    /// Messages that wait for parts, refused ones among them: those are remembered until their time is over.
    public var count: Int { waiting.count }

    /// Takes a part.
    ///
    /// - Parameters:
    ///   - offset: Where its bytes belong in the message.
    ///   - total: The bytes of the message; nil: the part does not tell.
    public mutating func add(
        _ bytes: borrowing RawSpan, at offset: Int, total: Int?, of message: Message, now: UInt64
    ) -> Outcome {
        removeLate(at: now)
        var partial = waiting[message] ?? PartialMessage(since: now)
        if partial.isRefused { return .refused }
        guard partial.add(bytes, at: offset, total: total, message.isDatagram, limits.bytes, limits.parts) else {
            losses.refused += 1
            partial.refuse()
            put(partial, message)
            return .refused
        }
        if let whole = partial.whole {
            waiting[message] = nil
            return .complete(whole)
        }
        put(partial, message)
        return .waiting
    }

    private mutating func removeLate(at now: UInt64) {
        let late = waiting.filter { now > $0.value.since && now - $0.value.since > limits.age }
        for (message, partial) in late { remove(message, partial) }
    }

    private mutating func put(_ partial: PartialMessage, _ message: Message) {
        if waiting[message] == nil {
            let ofConnection = waiting.filter { $0.key.connection == message.connection }
            if ofConnection.count >= limits.messagesOfConnection { removeOldest(of: ofConnection) }
            if waiting.count >= limits.messages { removeOldest(of: waiting) }
        }
        waiting[message] = partial
    }

    private mutating func removeOldest(of messages: [Message: PartialMessage]) {
        guard let oldest = messages.min(by: { $0.value.since < $1.value.since }) else { return }
        remove(oldest.key, oldest.value)
    }

    private mutating func remove(_ message: Message, _ partial: PartialMessage) {
        waiting[message] = nil
        if !partial.isRefused { losses.incomplete += 1 }
    }
}

/// What has come of a message.
private struct PartialMessage: Sendable {
    let since: UInt64
    private(set) var isRefused = false
    private var bytes: [UInt8] = []
    private var parts: [Range<Int>] = []
    private var total: Int?

    init(since: UInt64) { self.since = since }

    /// Whether the part fits to those before it; it is one of them then.
    mutating func add(
        _ part: borrowing RawSpan, at offset: Int, total: Int?, _ isDatagram: Bool, _ mostBytes: Int, _ mostParts: Int
    ) -> Bool {
        guard offset >= 0, offset <= mostBytes - part.byteCount, total ?? 0 <= mostBytes else { return false }
        let range = offset..<offset + part.byteCount
        if let total {
            guard self.total ?? total == total else { return false }
            self.total = total
        }
        guard (parts.map(\.upperBound).max() ?? 0) <= self.total ?? .max, range.upperBound <= self.total ?? .max else {
            return false
        }
        for known in parts where known.overlaps(range) {
            if isDatagram, known != range { return false }
            for place in known.clamped(to: range) {
                if bytes[place] != part.unsafeLoad(fromByteOffset: place - offset, as: UInt8.self) { return false }
            }
        }
        if parts.contains(where: { $0.lowerBound <= range.lowerBound && $0.upperBound >= range.upperBound }) {
            return true
        }
        guard parts.count < mostParts else { return false }
        parts.append(range)
        if bytes.count < range.upperBound {
            bytes.append(contentsOf: repeatElement(0, count: range.upperBound - bytes.count))
        }
        part.withUnsafeBytes { source in
            for place in range { bytes[place] = source[place - offset] }
        }
        return true
    }

    /// The message, when nothing of it is missing.
    var whole: [UInt8]? {
        guard let total else { return nil }
        var end = 0
        for part in parts.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if part.lowerBound > end { return nil }
            end = max(end, part.upperBound)
        }
        return end == total ? bytes : nil
    }

    /// Nothing comes of it any more.
    mutating func refuse() {
        isRefused = true
        bytes = []
        parts = []
    }
}
