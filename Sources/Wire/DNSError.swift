/// Why bytes are not a DNS message that we understand.
public struct DNSError: Error, Hashable, Sendable {
    public enum Problem: Hashable, Sendable {
        /// The message ends inside of a field, or says that it has more than it holds.
        case endOfMessage
        /// The QR bit says the other of query and response.
        case direction
        /// An operation other than QUERY.
        case operation(UInt8)
        /// Other than one question.
        case questionCount(UInt16)
        /// A question of a class other than IN.
        case questionClass(UInt16)
        /// A label's first byte is neither a length up to 63 nor a pointer (RFC 1035 §4.1.4).
        case labelKind(UInt8)
        /// A compression pointer that does not lead to an earlier place of the message: following it might not end.
        case pointer(to: Int)
        /// More pointers in one name than it can have labels between.
        case pointerCount
        /// A name of more than 255 bytes on the wire.
        case nameLength
        /// A byte that has no place in a name's text: a dot inside of a label, a space, or no printable ASCII.
        case nameByte(UInt8)
        /// The data of a record is not as long as its type wants.
        case recordLength(DNSType, UInt16)
        /// A second OPT record, or one whose owner is not the root (RFC 6891 §6.1.1).
        case options
    }

    public let problem: Problem
    /// Where in the message it was found, in bytes from its start.
    public let offset: Int

    init(_ problem: Problem, at offset: Int) {
        self.problem = problem
        self.offset = offset
    }
}

extension DNSError: CustomStringConvertible {
    public var description: String { "DNS message: \(reason) at byte \(offset)" }

    private var reason: String {
        switch problem {
        case .endOfMessage: "ends too early"
        case .direction: "query and response are confused"
        case .operation(let code): "operation \(code)"
        case .questionCount(let count): "\(count) questions"
        case .questionClass(let code): "question of class \(code)"
        case .labelKind(let byte): "label of unknown kind \(byte >> 6)"
        case .pointer(let target): "pointer to \(target)"
        case .pointerCount: "too many pointers in a name"
        case .nameLength: "name too long"
        case .nameByte(let byte): "byte \(byte) in a name"
        case .recordLength(let type, let length): "\(type) record of \(length) bytes"
        case .options: "misplaced EDNS options"
        }
    }
}
