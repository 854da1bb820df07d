import Glibc
import LinuxKernel
import Synchronization

/// Network namespaces of one test, `near` and `far`, with a veth pair between them; removed when the test ends.
final class TwoNamespaces {
    let near: String
    let far: String
    private static let counter = Atomic(0)

    var nearPath: String { "/run/netns/" + near }

    init() throws {
        let number = Self.counter.add(1, ordering: .relaxed).newValue
        near = "apus-near-\(getpid())-\(number)"
        far = "apus-far-\(getpid())-\(number)"
        try shell("ip netns add \(near) && ip netns add \(far)")
        try run("link set lo up")
        try run(
            "link add host0 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 netns \(far)")
    }

    /// Runs `ip` in the near namespace.
    func run(_ command: String) throws { try shell("ip -n \(near) \(command)") }

    deinit { try? shell("ip netns delete \(near); ip netns delete \(far)") }
}

func shell(_ command: String) throws {
    let status = system(command)
    guard status == 0 else { throw KernelError(operation: command, errno: Errno(rawValue: status)) }
}

/// A directory of one test, removed when the test ends.
final class ScratchDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/apus-kernel-\(getpid())-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw KernelError(operation: "mkdtemp", errno: Errno(rawValue: errno)) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? shell("rm -rf \(path)") }
}
