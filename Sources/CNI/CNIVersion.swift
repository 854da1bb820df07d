/// The versions of the CNI specification that the plugin speaks.
package enum CNIVersion {
    /// In all of them plugins are chained, and a result has the same interfaces and addresses.
    package static let supported = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    /// The one that it answers in when none is given.
    package static let newest = "1.1.0"

    /// The versions from one on.
    static func from(_ first: String) -> [String] { Array(supported.drop { $0 != first }) }
}

/// What a runtime may ask of a plugin.
package enum CNICommand: String, Sendable, CaseIterable {
    case add = "ADD"
    case del = "DEL"
    case check = "CHECK"
    case garbageCollect = "GC"
    case status = "STATUS"
    case version = "VERSION"

    /// The versions that have the command.
    var versions: [String] {
        switch self {
        case .add, .del, .version: CNIVersion.supported
        case .check: CNIVersion.from("0.4.0")
        case .garbageCollect, .status: CNIVersion.from("1.1.0")
        }
    }
}
