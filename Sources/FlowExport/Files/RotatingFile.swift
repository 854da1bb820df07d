internal import Glibc
internal import SystemPackage

/// A file of lines that is put aside when it has grown to its size, with a number of older ones kept beside it as
/// `NAME.1` (the newest), `NAME.2` and so on.
///
/// A line is in one file, as a whole: what could not be written in full is taken back, and the end of a line that a crash
/// left is cut off. Others may move or remove the file at any time; it is made anew then.
struct RotatingFile: ~Copyable {
    /// Where, how large and how many.
    struct Layout: Sendable, Hashable {
        var path: String
        /// Bytes; a file only gets longer where one line alone is.
        var size: Int
        /// How many older files are kept.
        var kept: Int
    }

    /// What can fail.
    enum Operation: String, Sendable, CaseIterable {
        case open, write, rotate
    }

    /// What failed, and why.
    struct Problem: Error, Sendable, Hashable {
        var operation: Operation
        var path: String
        var number: Int32

        /// Takes what the last call left in `errno`.
        init(_ operation: Operation, _ path: String, _ number: Int32 = errno) {
            (self.operation, self.path, self.number) = (operation, path, number)
        }

        var text: String { "can't \(operation.rawValue) \(path): \(String(cString: strerror(number)))" }
    }

    private let layout: Layout
    private var file: OpenFile?

    init(_ layout: Layout) { self.layout = layout }

    /// Writes lines, each with its end, in their order.
    ///
    /// - Returns: how many of them are written, and what kept the others from being.
    mutating func append(_ lines: [[UInt8]]) -> (written: Int, problem: Problem?) {
        var written = 0
        do throws(Problem) {
            while written < lines.count {
                let size = try current()
                var end = written
                var bytes: [UInt8] = []
                while end < lines.count, bytes.isEmpty || size + bytes.count + lines[end].count <= layout.size {
                    bytes += lines[end]
                    end += 1
                }
                if size > 0, size + bytes.count > layout.size {
                    try rotate()
                } else {
                    try write(bytes, at: size)
                    written = end
                }
            }
        } catch { return (written, error) }
        return (written, nil)
    }

    /// The size of the file of that name, which is open then.
    private mutating func current() throws(Problem) -> Int {
        if let size = file?.size(ifStillAt: layout.path) { return size }
        file = nil
        let opened = try OpenFile(layout.path)
        let size = try opened.cutBrokenLine()
        file = consume opened
        return size
    }

    private mutating func write(_ bytes: [UInt8], at size: Int) throws(Problem) {
        guard let number = file?.write(bytes) else { return }
        // A part of it may be there. Where that can't be taken back either, opening the file anew cuts it off.
        if file?.cut(to: size) != true { file = nil }
        throw Problem(.write, layout.path, number)
    }

    /// Numbers the older files one up, the oldest goes, and puts the current one aside.
    private mutating func rotate() throws(Problem) {
        file = nil
        guard layout.kept > 0 else {
            if unlink(layout.path) != 0 { throw Problem(.rotate, layout.path) }
            return
        }
        for number in (0..<layout.kept).reversed() {
            let old = number == 0 ? layout.path : "\(layout.path).\(number)"
            if rename(old, "\(layout.path).\(number + 1)") != 0, errno != ENOENT {
                throw Problem(.rotate, old)
            }
        }
    }
}

/// A descriptor of a regular file that is open at its end.
private struct OpenFile: ~Copyable {
    /// How much of a file's end is looked through for the last whole line.
    private static let longestLine = 1 << 20

    private let descriptor: Int32
    private let path: String

    /// Opens the file, and makes it and its directories where they are missing.
    init(_ path: String) throws(RotatingFile.Problem) {
        Self.makeDirectories(of: path)
        // A pipe or device of that name must not make opening wait.
        let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0o640)
        guard descriptor >= 0 else { throw RotatingFile.Problem(.open, path) }
        guard let status = try? Stat(FileDescriptor(rawValue: descriptor)), status.type == .regular else {
            close(descriptor)
            throw RotatingFile.Problem(.open, path, EINVAL)
        }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    private var status: Stat { get throws(Errno) { try Stat(FileDescriptor(rawValue: descriptor)) } }

    /// Whether these can be made shows when the file is opened.
    private static func makeDirectories(of path: String) {
        for (index, character) in zip(path.indices, path) where character == "/" && index > path.startIndex {
            mkdir(String(path[..<index]), 0o755)
        }
    }

    /// The size; nil when the name stands for another file by now, or for none.
    func size(ifStillAt path: String) -> Int? {
        guard let mine = try? status, let named = try? Stat(path), mine.deviceID == named.deviceID,
            mine.inode == named.inode
        else { return nil }
        return Int(mine.size)
    }

    /// Cuts off what follows the last end of a line; returns the size.
    func cutBrokenLine() throws(RotatingFile.Problem) -> Int {
        guard let status = try? status else { throw RotatingFile.Problem(.open, path) }
        let size = Int(status.size)
        var tail = [UInt8](repeating: 0, count: min(size, Self.longestLine))
        let start = size - tail.count
        let count = tail.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(start)) }
        guard count == tail.count else { throw RotatingFile.Problem(.open, path) }
        let end = tail.lastIndex(of: UInt8(ascii: "\n")).map { start + $0 + 1 } ?? start
        if end < size, !cut(to: end) { throw RotatingFile.Problem(.open, path) }
        return end
    }

    func cut(to size: Int) -> Bool { ftruncate(descriptor, off_t(size)) == 0 }

    /// Writes all; returns the number of the error that kept it from that.
    func write(_ bytes: [UInt8]) -> Int32? {
        bytes.withUnsafeBytes { buffer -> Int32? in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if count == 0 {
                    return EIO
                } else if errno != EINTR {
                    return errno
                }
            }
            return nil
        }
    }
}
