internal import AgentAPI
internal import ArgumentParser

/// Where a connection goes to, for the commands that follow one.
struct TargetOptions: ParsableArguments {
    @Option(
        help: """
            Where it goes to: NAMESPACE/POD, NAMESPACE/SERVICE, an address or, for policies, a name of the DNS; \
            with or without :PORT.
            """, transform: Self.target)
    var to: ConnectionTarget

    @Option(help: "Destination port: a number, or the name of a port of the pod or the Service.", transform: Self.port)
    var port: PolicyPort?

    /// The port, wherever it was given.
    var givenPort: PolicyPort? { to.port ?? port }

    func validate() throws {
        if to.port != nil, port != nil { throw ValidationError("--to \(to) has a port already: leave --port away") }
    }

    private static func target(_ text: String) throws -> ConnectionTarget {
        guard let target = ConnectionTarget(text) else {
            throw ValidationError(
                "an end is NAMESPACE/NAME, an address like 10.0.0.1 or fd00::1, or a name with a dot like "
                    + "www.example.com; with a port 10.0.0.1:80, [fd00::1]:80, NAMESPACE/NAME:PORT or www.example.com:443"
            )
        }
        return target
    }

    private static func port(_ text: String) throws -> PolicyPort {
        guard let port = PolicyPort(text) else { throw ValidationError("a port is a number from 1 to 65535 or a name") }
        return port
    }
}

extension PolicyEnd {
    /// An end as an argument.
    static func argument(_ text: String) throws -> PolicyEnd {
        guard let end = PolicyEnd(text) else {
            throw ValidationError("an end is NAMESPACE/NAME or an address like 10.0.0.1 or fd00::1")
        }
        return end
    }
}
