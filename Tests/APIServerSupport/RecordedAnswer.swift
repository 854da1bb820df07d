internal import Foundation

/// The recorded bytes of an answer: status line, headers, and the body in its chunks.
public struct RecordedAnswer: Sendable {
    /// The bytes as they were on the wire.
    public let bytes: [UInt8]
    /// Whether the recording ends in the middle of the body.
    public let isCut: Bool

    /// Reads a recording.
    public init(path: String) throws {
        bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let head = String(decoding: bytes.prefix(4096), as: UTF8.self)
        let isChunked = head.contains("Transfer-Encoding: chunked")
        isCut = isChunked && !bytes.suffix(5).elementsEqual("0\r\n\r\n".utf8)
    }

    /// The status of the answer.
    public var status: Int {
        Int(String(decoding: bytes.prefix(12).suffix(3), as: UTF8.self)) ?? 0
    }

    /// Gives the answer, in pieces of a size that has nothing to do with chunks.
    public func give(_ writer: HTTPWriter, pieces: Int = 1000) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            try await writer.write(Array(rest.prefix(pieces)))
            rest = rest.dropFirst(pieces)
        }
        if isCut { throw CutConnection() }
    }
}
