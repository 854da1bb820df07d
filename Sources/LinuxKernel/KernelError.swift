/// A failed request to the kernel.
public struct KernelError: Error, Sendable, Hashable {
    /// What was asked for, as a short phrase: `open`, `join netlink group`.
    public let operation: String
    /// Why the kernel refused.
    public let errno: Errno
    /// What it was asked for: a path, a name, the kernel's own message; may be empty.
    public let detail: String

    public init(operation: String, errno: Errno, detail: String = "") {
        self.operation = operation
        self.errno = errno
        self.detail = detail
    }
}

extension KernelError: CustomStringConvertible {
    public var description: String {
        detail.isEmpty ? "\(operation): \(errno)" : "\(operation) \(detail): \(errno)"
    }
}

/// Passes a non-negative result on and turns `-errno` into an error.
@discardableResult
package func check<Number: SignedInteger>(
    _ result: Number, _ operation: @autoclosure () -> String, _ detail: @autoclosure () -> String = ""
) throws(KernelError) -> Number {
    guard result < 0 else { return result }
    throw KernelError(operation: operation(), errno: Errno(rawValue: Int32(-result)), detail: detail())
}
