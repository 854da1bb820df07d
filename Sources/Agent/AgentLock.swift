internal import LinuxKernel

/// Keeps a second agent, or a cleanup, off the same pins: two writers would undo each other's work. The kernel lets go of
/// the lock with the process, however that ends.
struct AgentLock: ~Copyable {
    private let directory: FileDescriptor

    /// Takes the lock of a directory; fails where an agent holds it.
    init(directory path: String) throws(AgentFailure) {
        let isFree: Bool
        do throws(KernelError) {
            directory = try FileDescriptor.openDirectory(path)
            isFree = try directory.lock()
        } catch {
            throw AgentFailure("\(path) can't be opened: \(error)")
        }
        guard isFree else {
            throw AgentFailure("an agent works with \(path): stop it first, or name another --bpffs")
        }
    }
}
