/// The names by which a browser may ask.
///
/// A page of another site can have its own name lead to this host and then read what is served here; its requests carry
/// that name. The port does not matter: it is another one where a tunnel leads here.
enum WebHost {
    /// Whether a `Host` header names this host itself.
    static func isLocal(_ header: String?) -> Bool {
        guard let header else { return false }
        let name = name(header.lowercased())
        return name == "localhost" || name == "[::1]" || isLoopbackIPv4(name)
    }

    private static func name(_ header: String) -> Substring {
        if header.hasPrefix("["), let end = header.firstIndex(of: "]") {
            let rest = header[header.index(after: end)...]
            return rest.isEmpty || rest.hasPrefix(":") ? header[...end] : ""
        }
        return header.prefix { $0 != ":" }
    }

    private static func isLoopbackIPv4(_ name: Substring) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
