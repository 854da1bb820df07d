import Addressing
import AgentAPI
import Flows
import Foundation
import Glibc
import Testing

@Suite(.timeLimit(.minutes(10))) struct AgentSocketFile {
    @Test func onlyOwnerAndGroupMayUseIt() async throws {
        try await withServer { _, path in
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o660)
        }
    }

    @Test func aStaleSocketIsReplaced() async throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/apus.sock"
        try leaveSocket(at: path)
        let error = await #expect(throws: AgentError.self) { try await patientClient(path).hello() }
        #expect(error?.code == .notRunning)
        try await withRunning(AgentServer(path: path, handler: FakeAgent(), limits: patientLimits())) {
            try await expectAnswer(at: path)
        }
    }

    @Test func aSocketInUseIsLeftAlone() async throws {
        try await withServer { _, path in
            let error = await #expect(throws: AgentError.self) {
                try await AgentServer(path: path, handler: FakeAgent()).run()
            }
            #expect(error?.message.contains("an agent is running") == true)
            try await expectAnswer(at: path)
        }
    }

    @Test func aDesertedSocketIsRemovedAndNothingElse() async throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/apus.sock"
        #expect(!StaleSocket.remove(path))
        try leaveSocket(at: path)
        #expect(StaleSocket.remove(path) && !FileManager.default.fileExists(atPath: path))
        try "precious".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(!StaleSocket.remove(path) && FileManager.default.fileExists(atPath: path))
        try await withServer { _, path in
            #expect(!StaleSocket.remove(path))
            try await expectAnswer(at: path)
        }
    }

    @Test func aFileThatIsNoSocketIsLeftAlone() async throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/apus.sock"
        try "precious".write(toFile: path, atomically: true, encoding: .utf8)
        let error = await #expect(throws: AgentError.self) {
            try await AgentServer(path: path, handler: FakeAgent()).run()
        }
        #expect(error?.code == .socket)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test func aDirectoryThatIsMissingIsAnError() async throws {
        let directory = TemporaryDirectory()
        for path in [directory.path + "/no/apus.sock", "/tmp/" + String(repeating: "x", count: 120)] {
            let error = await #expect(throws: AgentError.self) {
                try await AgentServer(path: path, handler: FakeAgent()).run()
            }
            #expect(error?.code == .socket)
        }
    }

    /// Binds a socket and closes it without removing its name, as a killed process does.
    private func leaveSocket(at path: String) throws {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    }
}
