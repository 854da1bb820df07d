internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import SystemPackage

/// The socket's name in the file system.
///
/// The server binds beside it, sets the mode and renames: the name never stands for a socket with a wrong mode, and a
/// stale file is replaced in one step.
struct SocketFile: Sendable {
    private struct Identity: Equatable {
        let device: DeviceID
        let inode: Inode
    }

    let path: String
    /// Where the server binds before it renames.
    var temporaryPath: String { path + ".new" }

    /// Fails when somebody listens on the path, or when it is something else than a socket.
    func makeFree(_ group: any EventLoopGroup) async throws(AgentError) {
        // sun_path holds 108 bytes, the final zero included (unix(7)).
        guard temporaryPath.utf8.count < 108 else {
            throw AgentError(.socket, "the socket path \(path) is too long: at most 103 bytes")
        }
        unlink(temporaryPath)
        guard let type = Self.status(path)?.type else { return }
        guard type == .socket else {
            throw AgentError(.socket, "\(path) is no socket: remove it, or name another path with --socket")
        }
        try await expectDeserted(group)
    }

    /// Fails when somebody listens on the path.
    func expectDeserted(_ group: any EventLoopGroup) async throws(AgentError) {
        if let channel = try? await ClientBootstrap(group: group).connect(unixDomainSocketPath: path).get() {
            try? await channel.close()
            throw AgentError(
                .socket, "an agent is running at \(path): stop it first, or name another path with --socket")
        }
    }

    /// Gives the bound socket its mode and its name.
    func publish() throws(AgentError) {
        guard chmod(temporaryPath, 0o660) == 0, rename(temporaryPath, path) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(temporaryPath)
            throw AgentError(.socket, "can't make the socket \(path): \(reason)")
        }
    }

    /// What the path stands for now; nil when it stands for nothing.
    var identity: (some Equatable & Sendable)? {
        Self.status(path).map { Identity(device: $0.deviceID, inode: $0.inode) }
    }

    /// Removes the name.
    func remove() { unlink(path) }

    private static func status(_ path: String) -> Stat? { try? Stat(path, followTargetSymlink: false) }
}

/// Why a connection could not be made, from the number of the system's error.
struct ConnectFailure {
    let errno: CInt

    /// The error with its advice.
    func error(_ path: String) -> AgentError {
        switch errno {
        case ENOENT, ECONNREFUSED, ENOTDIR: .notRunning(path)
        case EACCES, EPERM: .permissionDenied(path)
        case EAGAIN: .busy
        default: AgentError(.broken, "can't connect to the agent at \(path): \(String(cString: strerror(errno)))")
        }
    }
}
