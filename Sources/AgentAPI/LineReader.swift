internal import FoundationEssentials
internal import NIOCore

/// What arrives on a connection.
enum LineEvent: Sendable {
    case line(ByteBuffer)
    /// A line is longer than it may be; nothing comes after this.
    case tooLong
    /// Nothing came in time; nothing comes after this.
    case timedOut
}

/// Cuts a byte stream into lines, with a bound on their length and on the wait for them.
final class LineReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = LineEvent

    private let limits: LineLimits
    private var pending = ByteBuffer()
    /// How many of the pending bytes are known to hold no line end: each byte is looked at once.
    private var searched = 0
    private var lines = 0
    private var isDone = false
    private var timer: Scheduled<Void>?

    init(limits: LineLimits) { self.limits = limits }

    func channelActive(context: ChannelHandlerContext) {
        startTimer(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isDone { return }
        var chunk = unwrapInboundIn(data)
        pending.writeBuffer(&chunk)
        while !isDone, let line = nextLine() {
            lines += 1
            if lines == limits.maximumLines { isDone = true }
            startTimer(context)
            context.fireChannelRead(wrapInboundOut(.line(line)))
        }
        if !isDone, pending.readableBytes > limits.bytes { end(context, with: .tooLong) }
        if isDone { pending.clear() } else { pending.discardReadBytes() }
    }

    /// Takes a whole line out of the pending bytes; a line that is too long stays there.
    private func nextLine() -> ByteBuffer? {
        let unread = pending.readableBytesView.dropFirst(searched)
        guard let newline = unread.firstIndex(of: UInt8(ascii: "\n")) else {
            searched = pending.readableBytes
            return nil
        }
        let length = newline - pending.readerIndex
        guard length <= limits.bytes else { return nil }
        searched = 0
        defer { pending.moveReaderIndex(forwardBy: 1) }
        return pending.readSlice(length: length)
    }

    private func end(_ context: ChannelHandlerContext, with event: LineEvent) {
        isDone = true
        timer?.cancel()
        context.fireChannelRead(wrapInboundOut(event))
        context.fireChannelReadComplete()
    }

    private func startTimer(_ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        guard !isDone, let wait = lines == 0 ? limits.firstLine : limits.laterLines else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: TimeAmount(wait)) {
            let (reader, context) = bound.value
            reader.end(context, with: .timedOut)
        }
    }
}

/// The bounds of a ``LineReader``.
struct LineLimits: Sendable {
    /// The longest line, without its end, in bytes.
    var bytes: Int
    /// How long the first line may take; nil for ever.
    var firstLine: Duration?
    /// How long every later line may take; nil for ever.
    var laterLines: Duration?
    /// What comes after so many lines is thrown away.
    var maximumLines = Int.max
}

/// JSON of one line and back.
enum LineCoding {
    /// The value as a line with its end.
    static func line(_ value: some Encodable) throws -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var buffer = ByteBuffer(bytes: try encoder.encode(value))
        buffer.writeInteger(UInt8(ascii: "\n"))
        return buffer
    }

    /// The value in a line.
    static func value<Value: Decodable>(_ type: Value.Type, in line: ByteBuffer) throws -> Value {
        try JSONDecoder().decode(type, from: Data(line.readableBytesView))
    }
}
