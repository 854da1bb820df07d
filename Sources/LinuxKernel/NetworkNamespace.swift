internal import CLinux
internal import Glibc

/// A network namespace that is named by a path: `/run/netns/NAME`, `/proc/PID/ns/net`.
public enum NetworkNamespace {
    /// Runs `body` on a new thread inside the namespace and waits for it.
    ///
    /// A thread of its own, because a namespace belongs to a thread and the threads of Swift's pool are shared.
    /// Sockets that `body` opens stay in the namespace wherever they are used later.
    public static func run<Result: Sendable>(
        at path: String, _ body: @escaping @Sendable () throws(KernelError) -> Result
    ) throws(KernelError) -> Result {
        let namespace = try FileDescriptor.openFile(path)
        let number = namespace.number
        let job = Job {
            do throws(KernelError) {
                try check(clinux_enter_network_namespace(number), "enter network namespace", path)
                return .success(try body())
            } catch {
                return .failure(error)
            }
        }
        try job.runOnThread()
        // The join made the thread's writes visible.
        guard let outcome = job.outcome else {
            throw KernelError(operation: "run in network namespace", errno: .cancelled, detail: path)
        }
        return try outcome.get()
    }

    /// The cookie of the calling thread's namespace, as the kernel's programs see it at sockets.
    public static func cookie() throws(KernelError) -> UInt64 {
        let socket = FileDescriptor(owning: try check(clinux_netlink_route_socket(), "open a socket"))
        var cookie: UInt64 = 0
        try check(clinux_network_namespace_cookie(socket.number, &cookie), "read the network namespace's cookie")
        return cookie
    }
}

/// Work for one thread; the result is read only after the thread was joined.
private final class Job<Value: Sendable>: @unchecked Sendable {
    private let body: @Sendable () -> Result<Value, KernelError>
    private(set) var outcome: Result<Value, KernelError>?

    init(_ body: @escaping @Sendable () -> Result<Value, KernelError>) { self.body = body }

    func runOnThread() throws(KernelError) {
        let start = Unmanaged.passRetained(ThreadStart { self.outcome = self.body() })
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, start.toOpaque())
        guard result == 0 else {
            start.release()
            throw KernelError(operation: "start a thread", errno: Errno(rawValue: result))
        }
        pthread_join(thread, nil)
    }
}

private final class ThreadStart {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}
