import TestSupport
import Testing

/// What the agent is told of exports.
@Suite struct ExportOptions {
    /// Starts an agent that can't get far: its pins would be where no bpf file system is.
    private func start(_ options: [String], _ environment: [String: String] = [:]) async throws -> ProcessResult {
        let command = [
            try BuiltProducts.path(of: "apusd"), "--node", "a", "--manifests", "/", "--bpffs", "/proc/apus", "--socket",
            "/apus.sock",
        ]
        return try await run(command + options, environment: environment, within: .seconds(300))
    }

    struct Mistake: Sendable {
        let flag: String
        let value: String
        let problem: String
        var others: [String] = []
    }

    @Test(arguments: [
        Mistake(
            flag: "export-allowlist", value: #"{"verdicts":[]}"#,
            problem: #"--export-allowlist: '{"verdicts":[]}' is no filter of flows: there is no field 'verdicts'"#),
        Mistake(
            flag: "export-denylist", value: #"{} {"source_port":["http"]}"#,
            problem: "--export-denylist[1].source_port[0]: 'http' is no port from 1 to 65535"),
        Mistake(
            flag: "export-fieldmask", value: "time,source.podname",
            problem: "--export-fieldmask: 'source.podname' is no field of a flow"),
        Mistake(
            flag: "export-file-max-size-mb", value: "0",
            problem: "--export-file-max-size-mb: 0 is not a number from 1 to 10000"),
        Mistake(
            flag: "export-file-max-backups", value: "2000",
            problem: "--export-file-max-backups: 2000 is not a number from 0 to 1000"),
        Mistake(
            flag: "otlp-endpoint", value: "collector:4318",
            problem: "--otlp-endpoint: 'collector:4318' is no URL such as http://collector:4318"),
        Mistake(
            flag: "otlp-headers", value: "Authorization", problem: "a header is NAME=VALUE",
            others: ["--otlp-endpoint", "http://collector:4318"]),
        Mistake(
            flag: "otlp-metrics-interval", value: "0.5",
            problem: "--otlp-metrics-interval: 0.5 is not a number of seconds from 1 to 86400",
            others: ["--otlp-endpoint", "http://collector:4318"]),
    ]) func aMistakeIsAUsageErrorThatNamesTheFlag(_ mistake: Mistake) async throws {
        let given = try await start(["--\(mistake.flag)", mistake.value] + mistake.others)
        #expect(given.status == 64 && given.errors.contains(mistake.problem), "\(given.errors)")
        let variable = "APUS_" + mistake.flag.uppercased().replacing("-", with: "_")
        let found = try await start(mistake.others, [variable: mistake.value])
        #expect(found.status == 64 && found.errors.contains(mistake.problem), "\(found.errors)")
    }

    @Test func whatIsRightIsTaken() async throws {
        let result = try await start(
            [
                "--export-file", "/nowhere/flows", "--export-allowlist", #"{"verdict":["DROPPED"]}{"reply":[true]}"#,
                "--export-fieldmask", "time,source.pod_name", "--otlp-logs", "off",
            ],
            [
                "APUS_OTLP_ENDPOINT": "https://collector/otlp", "APUS_OTLP_HEADERS": "A=b,C=d",
                "APUS_EXPORT_DENYLIST": "",
            ])
        #expect(result.errors.contains("not on a bpf file system"), "\(result.errors)")
    }
}
