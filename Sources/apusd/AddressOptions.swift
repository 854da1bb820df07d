import Agent
import ArgumentParser
import HTTPEndpoint

/// Where the agent answers HTTP.
struct AddressOptions: ParsableArguments {
    @Option(
        help: .flag(
            "metrics-address", "Where metrics are served, as [HOST]:PORT; empty for nowhere.", default: ":9990"))
    var metricsAddress: String?
    @Option(
        help: .flag(
            "health-address", "Where /healthz and /readyz are served; empty for nowhere.", default: "127.0.0.1:9879"))
    var healthAddress: String?
    @Option(
        help: .flag(
            "proxy-health-address", "Where kube-proxy's /healthz and /livez are served; empty for nowhere.",
            default: ":10256, with --manifests nowhere"))
    var proxyHealthAddress: String?

    @Option(
        help: .flag(
            "web-address", "Where the page for browsers on this host is served, usually 127.0.0.1:9991.",
            default: "nowhere"))
    var webAddress: String?

    func apply(to addresses: inout AgentConfiguration.Addresses) throws {
        addresses.metrics = try address("metrics-address", metricsAddress, addresses.metrics)
        addresses.health = try address("health-address", healthAddress, addresses.health)
        addresses.proxyHealth = try address("proxy-health-address", proxyHealthAddress, addresses.proxyHealth)
        addresses.web = try address("web-address", webAddress, addresses.web)
        if let web = addresses.web, !web.isLoopback {
            throw ValidationError(
                "--web-address: '\(web)' is reached from other hosts, and the page asks for no credentials: give an "
                    + "address of this host alone, such as 127.0.0.1:9991 or [::1]:9991")
        }
    }

    private func address(_ flag: String, _ given: String?, _ fallback: ListenAddress?) throws -> ListenAddress? {
        guard let text = given ?? Environment.anyText(flag) else { return fallback }
        if text.isEmpty { return nil }
        guard let address = ListenAddress(text) else {
            throw ValidationError(
                "--\(flag): '\(text)' is not an address to listen on, such as :9990, 127.0.0.1:9990 or [::1]:9990")
        }
        return address
    }
}
