internal import CLinux
internal import Glibc

/// A netlink socket that asks one question at a time.
struct NetlinkSocket: ~Copyable, Sendable {
    let descriptor: FileDescriptor
    private var sequence: UInt32 = 0
    private var buffer = [UInt8](repeating: 0, count: 64 * 1024)

    /// Seconds to wait for an answer: the kernel answers at once, so this ends only a wait that would never end.
    private static let patience: Int32 = 5

    init(namespace: String? = nil) throws(KernelError) {
        try self.init(descriptor: try Self.open(namespace: namespace))
    }

    /// A socket for families that have no protocol of their own (genetlink).
    static func generic() throws(KernelError) -> NetlinkSocket {
        let number = try check(clinux_netlink_generic_socket(), "open generic netlink socket")
        return try NetlinkSocket(descriptor: FileDescriptor(owning: number))
    }

    private init(descriptor: consuming FileDescriptor) throws(KernelError) {
        try check(clinux_netlink_bind(descriptor.number), "bind netlink socket")
        try check(clinux_set_receive_timeout(descriptor.number, Self.patience), "set netlink timeout")
        self.descriptor = descriptor
    }

    static func open(namespace: String?) throws(KernelError) -> FileDescriptor {
        @Sendable func number() throws(KernelError) -> Int32 {
            try check(clinux_netlink_route_socket(), "open netlink socket")
        }
        guard let namespace else { return FileDescriptor(owning: try number()) }
        return FileDescriptor(owning: try NetworkNamespace.run(at: namespace, number))
    }

    /// Sends a request and returns the answers, which for a dump end with its end.
    mutating func ask(
        _ operation: String, type: UInt16, flags: UInt16 = 0, fixed: [UInt8],
        attributes: [(type: UInt16, bytes: [UInt8])] = []
    ) throws(KernelError) -> [NetlinkMessage] {
        // A dump that the tables changed under is asked again; more than this often means something churns for ever.
        for _ in 0..<8 {
            sequence &+= 1
            let request = NetlinkMessage.request(
                type: type, flags: flags, sequence: sequence, fixed: fixed, attributes: attributes)
            let sent = request.withUnsafeBytes { clinux_send(descriptor.number, $0.baseAddress, $0.count) }
            try check(sent, operation)
            let answer = try collect(operation, isDump: flags & NetlinkFlags.dump != 0)
            if !answer.wasInterrupted { return answer.messages }
        }
        throw KernelError(operation: operation, errno: .interrupted)
    }

    private mutating func collect(
        _ operation: String, isDump: Bool
    ) throws(KernelError) -> (messages: [NetlinkMessage], wasInterrupted: Bool) {
        var messages: [NetlinkMessage] = []
        var wasInterrupted = false
        while true {
            for message in try receive(operation) where message.sequence == sequence {
                if message.flags & NetlinkFlags.dumpInterrupted != 0 { wasInterrupted = true }
                if message.type == NetlinkType.error || message.type == NetlinkType.done {
                    try Self.throwStatus(of: message, operation)
                    return (messages, wasInterrupted)
                }
                messages.append(message)
                if !isDump { return (messages, false) }
            }
        }
    }

    private mutating func receive(_ operation: String) throws(KernelError) -> [NetlinkMessage] {
        while true {
            let number = descriptor.number
            // MSG_TRUNC: the size of the datagram even where it is larger than the buffer.
            let count = buffer.withUnsafeMutableBytes {
                clinux_receive(number, $0.baseAddress, $0.count, Int32(MSG_TRUNC))
            }
            if count == -Int(EINTR) { continue }
            try check(count, operation)
            guard count <= buffer.count else {
                throw KernelError(operation: operation, errno: .tooBig, detail: "\(count) bytes")
            }
            return NetlinkMessage.parse(buffer[..<count])
        }
    }

    private static func throwStatus(of message: NetlinkMessage, _ operation: String) throws(KernelError) {
        var cursor = ByteCursor(message.payload)
        // The end of a dump has no status on old kernels.
        try check(cursor.take(Int32.self) ?? 0, operation)
    }
}
