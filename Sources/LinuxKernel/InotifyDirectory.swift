internal import CLinux
internal import Glibc

/// A change in a directory.
public enum DirectoryEvent: Sendable, Hashable {
    /// A new name: a link or directory, or a file that its maker may still write to; `changed` follows when it did.
    ///
    /// A linked file gets nothing but this event, so wait a moment for a `changed`, then read it.
    case created(String)
    /// A name has new, complete contents: its file was closed after writing or moved here.
    case changed(String)
    /// A name is gone: deleted or moved away.
    case removed(String)
    /// Everything may have changed at once: the `..data` link of a Kubernetes volume was swapped.
    case replaced
    /// The kernel had no room for events and dropped some: read the directory again.
    case overflow
    /// The directory itself was deleted, moved or unmounted; nothing follows.
    case gone
}

/// The changes of one directory, from the moment this was made; subdirectories are not followed.
///
/// Make it first, read the directory then: no change is lost in between. One task iterates. Ends after `.gone`, and
/// when that task is cancelled.
public struct InotifyDirectory: AsyncSequence, Sendable {
    public typealias Element = DirectoryEvent
    public typealias Failure = KernelError

    private let source: SharedDescriptor
    private let path: String

    /// Watches an existing directory.
    public init(_ path: String) throws(KernelError) {
        let descriptor = FileDescriptor(owning: try check(clinux_inotify_create(), "open inotify"))
        try check(clinux_inotify_watch(descriptor.number, path, InotifyMask.interest), "watch directory", path)
        source = SharedDescriptor(descriptor)
        self.path = path
    }

    public func makeAsyncIterator() -> Iterator { Iterator(source: source, path: path) }

    public struct Iterator: AsyncIteratorProtocol {
        private let source: SharedDescriptor
        private let path: String
        private var pending: [DirectoryEvent] = []
        private var next = 0
        private var isGone = false

        fileprivate init(source: SharedDescriptor, path: String) {
            self.source = source
            self.path = path
        }

        public mutating func next() async throws(KernelError) -> DirectoryEvent? {
            try await next(isolation: nil)
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(KernelError) -> DirectoryEvent? {
            while next == pending.count {
                if isGone { return nil }
                pending.removeAll(keepingCapacity: true)
                next = 0
                if try !receive() {
                    guard try await source.waitUntilReadable() else { return nil }
                }
            }
            defer { next += 1 }
            return pending[next]
        }

        /// Reads the events that wait; returns false when there are none.
        private mutating func receive() throws(KernelError) -> Bool {
            var buffer = [UInt8](repeating: 0, count: 16 * 1024)
            let number = source.descriptor.number
            let count = buffer.withUnsafeMutableBytes { clinux_read(number, $0.baseAddress, $0.count) }
            if count == -Int(EAGAIN) { return false }
            if count == -Int(EINTR) { return true }
            try check(count, "read directory events", path)
            // `struct inotify_event`: watch, mask, cookie, length of the name with its zero bytes.
            var cursor = ByteCursor(buffer[..<count])
            while cursor.take(UInt32.self) != nil, let mask = cursor.take(UInt32.self), cursor.take(UInt32.self) != nil,
                let length = cursor.take(UInt32.self), let name = cursor.take(count: Int(length))
            {
                add(InotifyMask(rawValue: mask), String(decoding: name.prefix { $0 != 0 }, as: UTF8.self))
            }
            return true
        }

        private mutating func add(_ mask: InotifyMask, _ name: String) {
            if mask.contains(.overflow) {
                pending.append(.overflow)
            } else if !mask.isDisjoint(with: .end) {
                if !isGone { pending.append(.gone) }
                isGone = true
            } else if name.hasPrefix("..") {
                // The parts of an atomic swap; only the link's move makes the new contents visible.
                if name == "..data", !mask.isDisjoint(with: [.movedTo, .created]) { pending.append(.replaced) }
            } else if !mask.isDisjoint(with: [.deleted, .movedFrom]) {
                pending.append(.removed(name))
            } else {
                pending.append(mask.contains(.created) ? .created(name) : .changed(name))
            }
        }
    }
}

/// IN_* (include/uapi/linux/inotify.h).
private struct InotifyMask: OptionSet {
    let rawValue: UInt32

    static let closedAfterWrite = InotifyMask(rawValue: 0x8)
    static let movedFrom = InotifyMask(rawValue: 0x40)
    static let movedTo = InotifyMask(rawValue: 0x80)
    static let created = InotifyMask(rawValue: 0x100)
    static let deleted = InotifyMask(rawValue: 0x200)
    static let overflow = InotifyMask(rawValue: 0x4000)
    /// Deleted, moved, unmounted, or no longer watched.
    static let end = InotifyMask(rawValue: 0x400 | 0x800 | 0x2000 | 0x8000)
    private static let onlyDirectories = InotifyMask(rawValue: 0x0100_0000)

    /// What to ask the kernel for.
    static let interest: UInt32 =
        ([
            .closedAfterWrite, .movedFrom, .movedTo, .created, .deleted, InotifyMask(rawValue: 0x400 | 0x800),
            .onlyDirectories,
        ] as InotifyMask).rawValue
}
