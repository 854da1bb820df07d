internal import Glibc

/// Keeps a second agent, or a cleanup, off the same pins: two writers would undo each other's work. The kernel lets go of the lock with
/// the process, however that ends.
struct AgentLock: ~Copyable {
    private let descriptor: Int32

    /// Takes the lock of a directory; fails where an agent holds it.
    init(directory: String) throws(AgentFailure) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw AgentFailure("\(directory) can't be opened") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw AgentFailure("an agent works with \(directory): stop it first, or name another --bpffs")
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}
