import Foundation
import Testing

@testable import Agent

/// What keeps an agent from starting.
@Suite struct Starts {
    @Test func aSecondAgentOfADirectoryIsRefusedUntilTheFirstIsGone() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("apus-lock-\(UUID())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try AgentLock(directory: directory)
        let error = #expect(throws: AgentFailure.self) { _ = try AgentLock(directory: directory) }
        #expect(error?.description.contains("an agent works with \(directory)") == true)
        _ = consume first
        _ = try AgentLock(directory: directory)
    }

    @Test func agentsOfOtherDirectoriesDoNotMind() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("apus-locks-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        for name in ["a", "b"] {
            try FileManager.default.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        let first = try AgentLock(directory: "\(root)/a")
        let second = try AgentLock(directory: "\(root)/b")
        #expect(throws: AgentFailure.self) { _ = try AgentLock(directory: "\(root)/none") }
        _ = consume first
        _ = consume second
    }

    @Test func theDirectoryOfSocketsGoesWhenItIsOursAndEmpty() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("apus-run-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: root) }
        for name in ["apus", "others"] {
            try FileManager.default.createDirectory(atPath: "\(root)/\(name)", withIntermediateDirectories: true)
        }
        func isThere(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(name)") }
        try Data().write(to: URL(filePath: "\(root)/apus/notes"))
        for socket in ["apus/apus.sock", "others/apus.sock"] { Agent.removeSocketDirectory("\(root)/\(socket)") }
        #expect(isThere("apus") && isThere("others"))
        try FileManager.default.removeItem(atPath: "\(root)/apus/notes")
        Agent.removeSocketDirectory("\(root)/apus/apus.sock")
        #expect(!isThere("apus") && isThere("others"))
    }

    @Test func withoutRootItSaysThatRootIsNeeded() throws {
        let error = #expect(throws: AgentFailure.self) { try Requirements.checkUser(isRoot: false) }
        #expect(error?.description.hasPrefix("apusd needs root") == true)
        try Requirements.checkUser(isRoot: true)
    }
}
