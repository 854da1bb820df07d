import TestSupport
import Testing

/// The addresses that the agent is told to answer HTTP at.
@Suite struct AgentAddresses {
    /// Starts an agent that can't get far: its pins would be where no bpf file system is.
    private func start(_ options: [String], _ environment: [String: String] = [:]) async throws -> ProcessResult {
        let command = [
            try BuiltProducts.path(of: "apusd"), "--node", "a", "--manifests", "/", "--bpffs", "/proc/apus", "--socket",
            "/apus.sock",
        ]
        return try await run(command + options, environment: environment, within: .seconds(300))
    }

    @Test(arguments: ["metrics-address", "health-address", "proxy-health-address", "web-address"])
    func whatIsNoAddressIsAUsageErrorThatNamesTheFlag(flag: String) async throws {
        let given = try await start(["--\(flag)", "localhost"])
        #expect(given.status == 64)
        #expect(given.errors.contains("--\(flag): 'localhost' is not an address to listen on"), "\(given.errors)")
        let variable = "APUS_" + flag.uppercased().replacing("-", with: "_")
        let found = try await start([], [variable: "localhost"])
        #expect(found.status == 64)
        #expect(found.errors.contains("--\(flag): 'localhost' is not an address to listen on"), "\(found.errors)")
    }

    @Test(arguments: [":9991", "0.0.0.0:9991", "10.0.0.1:9991", "[::]:9991", "[2001:db8::1]:9991"])
    func thePageIsServedOnThisHostAlone(address: String) async throws {
        let problem = "--web-address: '\(address)' is reached from other hosts"
        for result in [
            try await start(["--web-address", address]), try await start([], ["APUS_WEB_ADDRESS": address]),
        ] {
            #expect(result.status == 64 && result.errors.contains(problem), "\(result.errors)")
        }
        let taken = try await start(["--web-address", "[::1]:9991"])
        #expect(taken.errors.contains("not on a bpf file system"), "\(taken.errors)")
    }

    @Test func anEmptyOneIsNoneAndTheFlagWins() async throws {
        let variable = "APUS_METRICS_ADDRESS"
        for (options, value) in [([], ""), (["--metrics-address", ""], "localhost")] {
            let result = try await start(options, [variable: value])
            #expect(result.errors.contains("not on a bpf file system"), "\(result.errors)")
        }
    }
}
