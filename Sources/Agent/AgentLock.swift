internal import LinuxKernel

/// Keeps a second agent, or a cleanup, off the same pins: two writers would undo each other's work. The kernel lets go of
/// the lock with the process, however that ends.
struct AgentLock: ~Copyable {
    private let directory: FileDescriptor

    /// Takes the lock of a directory; fails where an agent holds it.
    init(directory path: String) throws(AgentFailure) {
        directory = try Self.locked(path)
    }

    private static func locked(_ path: String) throws(AgentFailure) -> FileDescriptor {
        do throws(KernelError) {
            let directory = try FileDescriptor.openDirectory(path)
            if try directory.lock() { return directory }
        } catch {
            throw AgentFailure("\(path) can't be opened: \(error)")
        }
        throw AgentFailure("an agent works with \(path): stop it first, or name another --bpffs")
    }
}
