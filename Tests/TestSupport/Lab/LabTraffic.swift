public import Addressing
internal import FoundationEssentials

/// How a request to a server ended.
public enum AskOutcome: Sendable, Equatable {
    /// The server of this name answered.
    case answered(String)
    /// The connection was refused (RST, or ICMP port unreachable).
    case refused
    /// Nothing came back in time.
    case timedOut
    /// Another error, by the name of its errno.
    case failed(String)
}

/// What a run of requests came to.
public struct LoadReport: Sendable, Decodable, Equatable {
    /// Requests that were answered.
    public var ok: Int
    /// Requests that were not.
    public var failed: Int
    /// Failures by the name of their errno.
    public var errors: [String: Int]
    /// Answers by the name of the server.
    public var ids: [String: Int]
    /// The longest time without an answer, in milliseconds.
    public var maxGap: Double
    /// How long the run took, in seconds.
    public var seconds: Double

    enum CodingKeys: String, CodingKey {
        case ok, failed, errors, ids, seconds
        case maxGap = "max_gap_ms"
    }

    /// Decodes the JSON line that `apus-traffic load` printed.
    public init(parsing output: String) throws(LabError) {
        do {
            self = try JSONDecoder().decode(LoadReport.self, from: Data(output.utf8))
        } catch {
            throw LabError("read the report of a load", "'\(output)': \(error)")
        }
    }
}

extension LabHost {
    /// Starts a server that answers with its name on both families, and waits until it listens.
    ///
    /// - Parameters:
    ///   - id: The name in its answers; the host's own by default.
    ///   - options: More options of `apus-traffic`.
    @discardableResult
    public func serve(
        port: Port, over ipProtocol: IPProtocol = .tcp, id: String? = nil, options: [String] = [], covered: Bool = true
    ) async throws -> ChildProcess {
        let mode = ipProtocol == .udp ? "udp-echo" : ipProtocol == .sctp ? "sctp-echo" : "tcp-echo"
        let server = try traffic([mode, "--port", "\(port)", "--id", id ?? name] + options, covered: covered)
        try await eventually("\(mode) on \(name)") {
            if let result = server.result { throw LabError("serve on \(name)", result.errors) }
            return server.lines.contains("listening")
        }
        return server
    }

    /// Makes one request.
    ///
    /// - Parameter bound: How long to wait for the answer. A test that expects none gives a short one of its own.
    public func ask(
        _ address: IPAddress, _ port: Port, over ipProtocol: IPProtocol = .tcp, options: [String] = [],
        within bound: Duration = .seconds(60), covered: Bool = true
    ) async throws(LabError) -> AskOutcome {
        let milliseconds = Int(bound / .milliseconds(1))
        let mode = ipProtocol == .sctp ? ["sctp-ask"] : ["ask", ipProtocol == .udp ? "--udp" : "--tcp"]
        let command = mode + ["--timeout-ms", "\(milliseconds)"] + options + ["\(address)", "\(port)"]
        let result = try await run(
            [BuiltProducts.path(of: "apus-traffic")] + command, within: bound + .patience, covered: covered)
        switch result.status {
        case 0: return .answered(String(result.output.dropLast()))
        case 3: return .refused
        case 4: return .timedOut
        default: return .failed(result.errors.split { $0.isWhitespace }.last.map(String.init) ?? "")
        }
    }

    /// Makes requests one after another; `options` say how many, how fast, how, and how long to wait for each answer.
    public func load(
        _ address: IPAddress, _ port: Port, over ipProtocol: IPProtocol = .tcp, options: [String],
        within bound: Duration = .patience, covered: Bool = true
    ) async throws(LabError) -> LoadReport {
        let command =
            ["load", ipProtocol == .udp ? "--udp" : "--tcp", "--timeout-ms", "60000"] + options
            + ["\(address)", "\(port)"]
        let result = try await run(
            [BuiltProducts.path(of: "apus-traffic")] + command, within: bound, covered: covered)
        return try LoadReport(parsing: result.output)
    }

    /// Starts `apus-traffic` inside the host.
    public func traffic(_ arguments: [String], covered: Bool = true) throws(LabError) -> ChildProcess {
        try spawn([BuiltProducts.path(of: "apus-traffic")] + arguments, covered: covered)
    }
}
