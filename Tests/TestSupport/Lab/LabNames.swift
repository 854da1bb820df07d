extension LabHost {
    /// Starts dnsmasq with nothing but some records, which live for a second, and waits until it listens.
    ///
    /// - Parameter records: Options of dnsmasq(8) such as `--address=/web.test/198.51.100.1`.
    @discardableResult
    public func serveNames(_ records: [String]) async throws -> ChildProcess {
        let server = try spawn(
            [
                "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=",
                "--user=root", "--cache-size=0", "--local-ttl=1",
            ] + records, covered: false)
        try await awaitResolver()
        return server
    }

    /// Waits until something listens on UDP port 53.
    public func awaitResolver() async throws {
        try await eventually("a resolver on \(name)") {
            try await !output(["ss", "-Hlun", "sport", "=", ":53"]).isEmpty
        }
    }
}
