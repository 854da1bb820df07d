internal import CNI
internal import Glibc

/// The agent behind its Unix socket.
struct AgentSocket {
    /// How much longer than the agent's own bound is waited for its answer, in milliseconds.
    private static let margin = 5000
    /// How long a busy agent is left alone, in milliseconds.
    private static let pause = 50
    /// A longer line is no answer.
    private static let lineLimit = 1 << 20

    /// Asks a question; a busy agent is asked again until the time is over.
    func ask(_ question: AgentQuestion, socket: String, waitMilliseconds: Int) -> AgentReply {
        let deadline = Self.now() + waitMilliseconds + Self.margin
        while true {
            let reply = once(question.line, socket, until: deadline)
            guard reply.isBusy, Self.now() + Self.pause < deadline else { return reply }
            _ = poll(nil, 0, Int32(Self.pause))
        }
    }

    private func once(_ line: String, _ path: String, until deadline: Int) -> AgentReply {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return Self.unreachable(path, errno) }
        defer { close(descriptor) }
        while Self.connect(descriptor, to: path) != 0 {
            // EAGAIN: as many wait to be let in as may (unix(7)).
            let code = errno
            guard code == EAGAIN || code == EINTR, Self.now() < deadline else { return Self.unreachable(path, code) }
            _ = poll(nil, 0, 10)
        }
        guard Self.send("\(line)\n", by: descriptor, until: deadline) else { return Self.unreachable(path, errno) }
        return receive(from: descriptor, path, until: deadline)
    }

    private func receive(from descriptor: Int32, _ path: String, until deadline: Int) -> AgentReply {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while pending.count < Self.lineLimit {
            guard Self.wait(for: descriptor, POLLIN, until: deadline) else {
                return .refused(code: "timed_out", message: "no answer in time at \(path)")
            }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            if count <= 0 { return .unreachable("it closed the connection at \(path) without an answer") }
            pending += chunk[..<count]
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                if let reply = AgentReply(line: pending[..<end]) { return reply }
                pending.removeFirst(end + 1)
            }
        }
        return .refused(code: "broken", message: "a line of its answer at \(path) is too long")
    }

    private static func connect(_ descriptor: Int32, to path: String) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private static func send(_ text: String, by descriptor: Int32, until deadline: Int) -> Bool {
        var rest = ArraySlice(text.utf8)
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EAGAIN || errno == EINTR {
                guard wait(for: descriptor, POLLOUT, until: deadline) else { return false }
                continue
            }
            if count < 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func wait(for descriptor: Int32, _ event: Int32, until deadline: Int) -> Bool {
        while true {
            let left = deadline - now()
            if left <= 0 { return false }
            var interest = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let result = poll(&interest, 1, Int32(min(left, 1 << 20)))
            if result > 0 { return true }
            if result < 0, errno != EINTR { return false }
        }
    }

    private static func unreachable(_ path: String, _ code: Int32) -> AgentReply {
        .unreachable("\(path): \(String(cString: strerror(code)))")
    }

    /// CLOCK_MONOTONIC in milliseconds.
    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
