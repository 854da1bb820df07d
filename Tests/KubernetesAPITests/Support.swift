import APIServerSupport
import Foundation
import Kubernetes
import KubernetesAPI
import TestSupport

/// Settings with short pauses, and with patience: on a busy machine an answer takes as long as the tests beside it.
func quickSettings(_ kinds: [ObjectKind], streaming: Bool = true) -> APISettings {
    var settings = APISettings()
    settings.kinds = kinds
    settings.pageSize = 2
    settings.protocolSettings.prefersStreaming = streaming
    settings.protocolSettings.firstPause = .milliseconds(5)
    settings.protocolSettings.longestPause = .milliseconds(100)
    settings.protocolSettings.absenceTime = .milliseconds(50)
    settings.protocolSettings.absentPause = .milliseconds(50)
    settings.connectTimeout = .seconds(600)
    settings.silence = .seconds(600)
    return settings
}

func access(_ port: Int, token: ClusterAccess.Token? = nil) -> ClusterAccess {
    ClusterAccess(server: "http://127.0.0.1:\(port)", authority: .system, token: token)
}

/// Follows a server while `body` runs.
func following(
    _ access: ClusterAccess, _ settings: APISettings, _ body: @Sendable (Listener) async throws -> Void
) async throws {
    let listener = Listener()
    let source = APISource(access, settings: settings, userAgent: "apusd/test")
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await source.run { listener.take($0) } }
        defer { group.cancelAll() }
        try await body(listener)
    }
}

/// Waits until what a listener has been told is as wanted.
func expectSoon(
    _ what: String, _ listener: Listener, _ condition: @Sendable (Listener.State) -> Bool
) async throws {
    try await eventually(what) {
        guard condition(listener.now) else {
            let now = listener.now
            throw LabError(what, "\(now.objects.keys.sorted()) \(now.standings) \(now.diagnostics)")
        }
        return true
    }
}

/// The path of a file among the recordings.
func recording(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/recorded/\(name)").path
}
