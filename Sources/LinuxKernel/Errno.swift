internal import CLinux
internal import Glibc

/// An error number of the kernel.
public struct Errno: RawRepresentable, Sendable, Hashable {
    /// The positive number.
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let notPermitted = Errno(rawValue: EPERM)
    public static let noEntry = Errno(rawValue: ENOENT)
    public static let noProcess = Errno(rawValue: ESRCH)
    public static let interrupted = Errno(rawValue: EINTR)
    public static let tooBig = Errno(rawValue: E2BIG)
    public static let wouldBlock = Errno(rawValue: EAGAIN)
    public static let accessDenied = Errno(rawValue: EACCES)
    public static let badAddress = Errno(rawValue: EFAULT)
    public static let busy = Errno(rawValue: EBUSY)
    public static let exists = Errno(rawValue: EEXIST)
    public static let noDevice = Errno(rawValue: ENODEV)
    public static let invalid = Errno(rawValue: EINVAL)
    public static let noSpace = Errno(rawValue: ENOSPC)
    public static let outOfRange = Errno(rawValue: ERANGE)
    public static let noLink = Errno(rawValue: ENOLINK)
    public static let badMessage = Errno(rawValue: EBADMSG)
    public static let noBuffers = Errno(rawValue: ENOBUFS)
    public static let notSupported = Errno(rawValue: EOPNOTSUPP)
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    public static let cancelled = Errno(rawValue: ECANCELED)
    public static let stale = Errno(rawValue: ESTALE)
    public static let addressNotAvailable = Errno(rawValue: EADDRNOTAVAIL)
    public static let networkUnreachable = Errno(rawValue: ENETUNREACH)
    public static let hostUnreachable = Errno(rawValue: EHOSTUNREACH)
    /// `ENOTSUPP` (include/linux/errno.h): leaks from the kernel to user space though it has no name there.
    public static let kernelNotSupported = Errno(rawValue: 524)
}

extension Errno: CustomStringConvertible {
    /// The C library's sentence for the number.
    public var description: String {
        if self == .kernelNotSupported { return "Operation not supported by the kernel" }
        var buffer = [CChar](repeating: 0, count: 256)
        _ = clinux_error_text(rawValue, &buffer, buffer.count)
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
