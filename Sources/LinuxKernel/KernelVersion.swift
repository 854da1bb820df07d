internal import CLinux

/// A kernel version; only the first three numbers count.
public struct KernelVersion: Sendable, Hashable {
    public let major: Int
    public let minor: Int
    public let patch: Int

    public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// The version of the running kernel.
    public static func running() throws(KernelError) -> KernelVersion {
        let release = try runningRelease()
        guard let version = KernelVersion(release) else {
            throw KernelError(operation: "parse the kernel release", errno: .invalid, detail: release)
        }
        return version
    }

    /// The release text of the running kernel, as `uname -r` prints it.
    public static func runningRelease() throws(KernelError) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        try check(clinux_kernel_release(&buffer, buffer.count), "uname")
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension KernelVersion: LosslessStringConvertible {
    /// Parses the start of a release text: `6.6`, `6.18.44-cloud-amd64`.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isNumber || $0 == "." }
        let numbers = digits.split(separator: ".").map { Int($0) }
        guard numbers.count >= 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        self.init(major, minor, numbers.count > 2 ? numbers[2] ?? 0 : 0)
    }

    public var description: String { patch == 0 ? "\(major).\(minor)" : "\(major).\(minor).\(patch)" }
}

extension KernelVersion: Comparable {
    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}
