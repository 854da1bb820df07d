internal import Foundation

/// A client of Hubble's services in Python, on definitions that protoc compiles anew: Tests/HubbleClient/client.py.
public struct HubbleClient: Sendable {
    /// What a call came to.
    public struct Answer: Sendable {
        /// The messages as JSON, a line each; the last one tells the error where there was one.
        public let lines: [String]
        /// Whether the call ended as it should.
        public let succeeded: Bool
    }

    /// Credentials for a server with TLS.
    public struct TLS: Sendable {
        let options: [String]

        /// - Parameter name: what the server's certificate is checked for.
        public init(authority: String, name: String, certificate: String? = nil, key: String? = nil) {
            var options = ["--ca", authority, "--name", name]
            if let certificate, let key { options += ["--cert", certificate, "--key", key] }
            self.options = options
        }
    }

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private let stubs: String

    /// Compiles the definitions into a directory of the caller's.
    public init(stubs: String) async throws(LabError) {
        self.stubs = stubs
        let folder = "\(Self.root)/Sources/HubbleAPI/Protocol"
        let files = ["flow", "health", "observer", "peer", "relay"].map { "\(folder)/\($0).proto" }
        let result = try await run(["protoc", "--proto_path=\(folder)", "--python_out=\(stubs)"] + files)
        guard result.succeeded else { throw LabError("compile the definitions", result.errors) }
    }

    /// The command line of a call: Debian's Python has gRPC, another one on the path may not.
    public func command(
        _ target: String, _ service: String, _ method: String, _ request: String = "{}", count: Int = 0,
        tls: TLS? = nil, options: [String] = []
    ) -> [String] {
        ["/usr/bin/python3", "\(Self.root)/Tests/HubbleClient/client.py", "--count", "\(count)"]
            + options + (tls?.options ?? []) + [stubs, target, service, method, request]
    }

    /// Calls a method whose answers are a stream with each request; a line each: the list of its answers, or its error.
    public func callEach(
        _ target: String, _ service: String, _ method: String, _ requests: [String]
    ) async throws(LabError) -> [String] {
        let list = "[\(requests.joined(separator: ","))]"
        let result = try await run(command(target, service, method, list, options: ["--each"]))
        guard result.succeeded else { throw LabError("client.py \(method)", result.errors) }
        return result.output.split(separator: "\n").map(String.init)
    }

    /// Calls a method and waits for its end, or for so many answers.
    public func call(
        _ target: String, _ service: String, _ method: String, _ request: String = "{}", count: Int = 0,
        tls: TLS? = nil
    ) async throws(LabError) -> Answer {
        let result = try await run(command(target, service, method, request, count: count, tls: tls))
        guard result.succeeded || result.status == 3 else { throw LabError("client.py \(method)", result.errors) }
        return Answer(lines: result.output.split(separator: "\n").map(String.init), succeeded: result.succeeded)
    }
}
