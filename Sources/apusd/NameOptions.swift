import Agent
import ArgumentParser

/// What is learned from DNS answers, and for how long.
struct NameOptions: ParsableArguments {
    @Option(
        help: .flag(
            "dns-server",
            "A resolver, or a block of them, whose answers teach names; repeatable, with commas in the variable.",
            default: "kube-dns, NodeLocal DNSCache and 169.254.169.254 alone"))
    var dnsServer: [String] = []
    @Option(help: .flag("fqdn-min-ttl", "Seconds that an address is allowed under its name at least.", default: 5))
    var fqdnMinTTL: Double?
    @Option(
        help: .flag("fqdn-grace", "Seconds that an address is allowed under its name beyond its TTL.", default: 5))
    var fqdnGrace: Double?

    func apply(to configuration: inout AgentConfiguration) throws {
        configuration.dnsServers = Set(
            try Environment.values("dns-server", dnsServer).map { try Environment.block("dns-server", $0) })
        configuration.minimumNameLifetime = try seconds(
            "fqdn-min-ttl", fqdnMinTTL, configuration.minimumNameLifetime)
        configuration.nameGrace = try seconds("fqdn-grace", fqdnGrace, configuration.nameGrace)
    }

    private func seconds(_ name: String, _ given: Double?, _ fallback: Duration) throws -> Duration {
        let value = try Environment.value(name, given, default: fallback / .seconds(1))
        guard (0...86_400).contains(value) else {
            throw ValidationError("--\(name): \(value) is not a number of seconds from 0 to 86400")
        }
        return .seconds(value)
    }
}
