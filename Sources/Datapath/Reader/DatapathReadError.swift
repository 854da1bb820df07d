internal import BPF
internal import LinuxKernel

/// Why the pinned maps could not be read.
public struct DatapathReadError: Error, Sendable, Hashable {
    /// What kept us from reading.
    public enum Reason: Sendable, Hashable {
        /// No data path was ever set up there, or it was cleaned up.
        case noMaps
        /// The maps were made by another version of Apus.
        case otherVersion(found: UInt32, wanted: UInt32)
        /// The caller may not open pinned maps.
        case noPermission
        /// There is no map of that name.
        case noSuchMap
        /// The kernel has no way to list the map: its values belong to sockets.
        case notListable
        /// The kernel refused for another reason, as the error number says.
        case failed(errno: Int32)
    }

    public let reason: Reason
    /// The directory or the map.
    public let subject: String
    /// What the kernel said; may be empty.
    public let detail: String

    init(_ reason: Reason, _ subject: String, detail: String = "") {
        self.reason = reason
        self.subject = subject
        self.detail = detail
    }

    /// An error of a map; `missing` is the reason when it does not exist.
    init(_ error: BPFError, _ subject: String, missing: Reason = .noSuchMap) {
        let reason: Reason =
            switch error.errno {
            case .noEntry: missing
            case .notPermitted, .accessDenied: .noPermission
            default: .failed(errno: error.errno.rawValue)
            }
        self.init(reason, subject, detail: "\(error)")
    }
}

extension DatapathReadError: CustomStringConvertible {
    public var description: String {
        switch reason {
        case .noMaps: "no Apus maps under \(subject)"
        case .otherVersion(let found, let wanted):
            "the maps under \(subject) have ABI version \(found), this program reads version \(wanted)"
        case .noPermission: "no permission to read \(subject)"
        case .noSuchMap: "no map \(subject)"
        case .notListable: "the entries of map \(subject) can't be listed: they belong to sockets"
        case .failed: "can't read \(subject): \(detail)"
        }
    }
}
