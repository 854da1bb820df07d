internal import Glibc

/// Files that are whole, or as they were before, whenever the machine stops.
enum AtomicFile {
    /// Writes beside the file, makes sure that it is on the disk, and renames.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(CNIInstallationError) {
        let (directory, name) = parts(path)
        // The ending is not one that a runtime looks for.
        let temporary = "\(directory)/.\(name).new"
        unlink(temporary)
        do throws(CNIInstallationError) {
            try fill(temporary, bytes, mode)
            guard rename(temporary, path) == 0 else { throw failure("rename", temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        try sync(directory)
    }

    /// Removes a file for good. Returns whether it was there.
    static func remove(_ path: String) throws(CNIInstallationError) -> Bool {
        guard unlink(path) == 0 else {
            if errno == ENOENT { return false }
            throw failure("remove", path)
        }
        try sync(parts(path).directory)
        return true
    }

    private static func fill(_ path: String, _ bytes: [UInt8], _ mode: mode_t) throws(CNIInstallationError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure("make", path) }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { throw failure("write", path) }
            rest = rest.dropFirst(count)
        }
        // The mode that open was given is cut by the umask.
        guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else { throw failure("write", path) }
    }

    private static func sync(_ directory: String) throws(CNIInstallationError) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", directory) }
        defer { close(descriptor) }
        // Some file systems have nothing to do there, and say so.
        if fsync(descriptor) != 0, errno != EINVAL { throw failure("sync", directory) }
    }

    private static func parts(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    private static func failure(_ operation: String, _ path: String) -> CNIInstallationError {
        CNIInstallationError("can't \(operation) \(path): \(String(cString: strerror(errno)))")
    }
}
